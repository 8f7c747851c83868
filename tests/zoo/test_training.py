import pytest
import torch

from equipoise.zoo.planting import build_training_set
from equipoise.zoo.recipe import EdmFashionRecipe
from equipoise.zoo.training import build_denoiser, learning_rate_at, train, update_average

RECIPE = EdmFashionRecipe(
    name="test", num_images=8, steps=100, warmup=5, batch=8, channels=(16, 32), per_cell=0
)
LEVELS = torch.arange(0, 240, 30, dtype=torch.uint8)
IMAGES = LEVELS[:, None, None, None].expand(8, 1, 16, 16).clone()


def run():
    training_set = build_training_set(IMAGES, ())
    return list(train(build_denoiser(RECIPE, 0.6), training_set, RECIPE))


@pytest.mark.slow
def test_training_lowers_the_loss_and_is_a_function_of_the_recipe():
    first, second = run(), run()
    losses = [state.loss for state in first]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
    assert losses == [state.loss for state in second]
    assert [state.step for state in first] == list(range(1, 101))


def test_building_leaves_the_callers_random_state_alone():
    before = torch.random.get_rng_state()
    build_denoiser(RECIPE, 0.6)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_learning_rate_warms_up_and_ends_near_zero():
    rates = [learning_rate_at(step, RECIPE) for step in range(100)]
    assert rates[0] < rates[4]
    assert max(rates) <= RECIPE.learning_rate
    assert rates[-1] < 0.01 * RECIPE.learning_rate


def test_the_average_moves_by_one_minus_decay():
    average, network = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    expected = 0.9 * average.weight.detach() + 0.1 * network.weight.detach()
    update_average(average, network, 0.9)
    torch.testing.assert_close(average.weight.detach(), expected)
