import math

import pytest
import torch

from equipoise.denoisers import EdmDenoiser, UNet
from equipoise.zoo.network import build_denoiser
from equipoise.zoo.recipe import DitRecipe, EdmRecipe
from equipoise.zoo.training import (
    Lesson,
    denoising_loss,
    dump_state,
    learning_rate_at,
    restore_state,
    start_training,
    train,
    update_average,
)

SHORT = {"num_images": 8, "steps": 100, "warmup": 5, "batch": 8, "per_cell": 0}
RECIPE = EdmRecipe(name="test", channels=(16, 32), **SHORT)
DIT = DitRecipe(name="test-dit", width=32, depth=2, num_classes=8, **SHORT)
LEVELS = torch.arange(0, 240, 30, dtype=torch.uint8)
IMAGES = LEVELS[:, None, None, None].expand(8, 1, 16, 16).clone()
SAMPLES = IMAGES.float() / 127.5 - 1
LESSON = Lesson(SAMPLES, None, torch.arange(8))
CLASS_LESSON = Lesson(SAMPLES, torch.arange(8), torch.arange(8))


def start(recipe):
    return start_training(build_denoiser(recipe, 0.6), recipe)


def lesson_of(recipe):
    return CLASS_LESSON if isinstance(recipe, DitRecipe) else LESSON


def run(recipe):
    return list(train(start(recipe), lesson_of(recipe), recipe))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [RECIPE, DIT], ids=["edm", "dit"])
def test_training_lowers_the_loss_and_is_a_function_of_the_recipe(recipe):
    first, second = run(recipe), run(recipe)
    losses = [state.loss for state in first]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
    assert losses == [state.loss for state in second]
    assert [state.step for state in first] == list(range(1, 101))


@pytest.mark.parametrize(
    "recipe", [RECIPE, pytest.param(DIT, marks=pytest.mark.slow)], ids=["edm", "dit"]
)
def test_a_resumed_training_is_the_unbroken_one_bit_for_bit(recipe):
    short = recipe.model_copy(update={"steps": 6})
    *_, unbroken = train(start(short), lesson_of(recipe), short)
    broken = train(start(short), lesson_of(recipe), short)
    for _ in range(3):
        kept = {name: tensor.clone() for name, tensor in dump_state(next(broken)).items()}
    *_, resumed = train(restore_state(start(short), kept), lesson_of(recipe), short)
    expected = dump_state(unbroken)
    found = dump_state(resumed)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert resumed.step == 6


def test_building_leaves_the_callers_random_state_alone():
    before = torch.random.get_rng_state()
    build_denoiser(RECIPE, 0.6)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_learning_rate_warms_up_and_ends_near_zero():
    rates = [learning_rate_at(step, RECIPE) for step in range(100)]
    assert rates[0] < rates[4]
    assert max(rates) <= RECIPE.learning_rate
    assert rates[-1] < 0.01 * RECIPE.learning_rate


def test_every_cycle_of_the_learning_rate_is_one_schedule_of_its_own():
    half = RECIPE.model_copy(update={"steps": 50})
    once = [learning_rate_at(step, half) for step in range(50)]
    assert [learning_rate_at(step, RECIPE, cycles=2) for step in range(100)] == once + once


def test_the_average_moves_by_one_minus_decay():
    average, network = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    expected = 0.9 * average.weight.detach() + 0.1 * network.weight.detach()
    update_average(average, network, 0.9)
    torch.testing.assert_close(average.weight.detach(), expected)


@pytest.mark.slow
def test_the_null_class_is_shown_as_often_as_the_recipe_says(monkeypatch):
    recipe = DIT.model_copy(update={"batch": 400, "steps": 5, "label_dropout": 0.25})
    seen = []
    denoise = type(build_denoiser(recipe, 0.6)).denoise

    def spy(self, x, sigma, cond=None):
        seen.append(cond)
        return denoise(self, x, sigma, cond)

    monkeypatch.setattr(type(build_denoiser(recipe, 0.6)), "denoise", spy)
    list(train(start(recipe), CLASS_LESSON, recipe))
    shown = torch.cat(seen)
    assert len(shown) == 2000
    assert 0.2 < float((shown == 8).float().mean()) < 0.3
    assert set(shown.unique().tolist()) == set(range(9))


def test_the_loss_is_the_plain_error_of_the_network_on_its_effective_target(tiny_edm):
    """Karras et al. 2022, Eq. 8: the weight undoes c_out^2 exactly."""
    x0 = 0.5 * torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    words = {"cond": None, "log_sigma_mean": -1.2, "log_sigma_std": 1.2}
    found = denoising_loss(tiny_edm, x0, torch.Generator().manual_seed(5), **words)
    generator = torch.Generator().manual_seed(5)
    sigma = (-1.2 + 1.2 * torch.randn(7, generator=generator).double()).exp()
    x = x0.double() + sigma.reshape(7, 1, 1, 1) * torch.randn(x0.shape, generator=generator)
    double = tiny_edm.to("cpu", torch.float64)
    errors = []
    for clean, noisy, s in zip(x0.double(), x, sigma.tolist(), strict=True):
        c_out = s * 0.5 / math.hypot(s, 0.5)
        target = (clean - 0.25 / (s**2 + 0.25) * noisy) / c_out
        F = double.network(noisy[None] / math.hypot(s, 0.5), torch.tensor([math.log(s) / 4]))
        errors.append((F[0] - target).square().mean())
    assert float(found) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)
    assert 0 < float(found) < math.inf


def test_an_untrained_network_has_loss_one_whatever_the_noise():
    """Karras et al. 2022, App. B.6: the effective target has unit variance at every sigma."""
    fresh = EdmDenoiser(UNet(1, patch=2, channels=(8,), depth=1), (1, 16, 16), 0.5)
    x0 = 0.5 * torch.randn(400, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for mean in (-3.0, 0.0, 3.0):
        with torch.no_grad():
            loss = denoising_loss(
                fresh, x0, torch.Generator().manual_seed(1),
                cond=None, log_sigma_mean=mean, log_sigma_std=0.1,
            )  # fmt: skip
        assert float(loss) == pytest.approx(1, abs=0.03)


def test_the_loss_is_a_function_of_the_generator_and_has_gradients():
    fresh = EdmDenoiser(UNet(1, patch=2, channels=(8,), depth=1), (1, 8, 8), 0.5)
    x0 = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def loss(seed):
        generator = torch.Generator().manual_seed(seed)
        return denoising_loss(
            fresh, x0, generator, cond=None, log_sigma_mean=-1.0, log_sigma_std=1.0
        )

    assert loss(1).item() == loss(1).item() != loss(2).item()
    loss(1).backward()
    assert fresh.network.conv_out.weight.grad.abs().max() > 0
