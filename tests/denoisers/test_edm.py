import math
from dataclasses import replace

import pytest
import torch

from equipoise.denoisers import EdmDenoiser, UNet, fingerprint
from equipoise.denoisers.edm import per_sample, training_loss

SIGMAS = (0.002, 0.1, 0.5, 3.0, 80.0)


@pytest.fixture(scope="module")
def x():
    return torch.randn(len(SIGMAS), 1, 16, 16, generator=torch.Generator().manual_seed(0))


def by_hand(denoiser, x, sigma):
    """Table 1 of Karras et al. 2022, one sample at a time, scalars by Python's math."""
    std = denoiser.data_std
    rows = []
    for row, s in zip(x, sigma, strict=True):
        c_skip = std**2 / (s**2 + std**2)
        c_out = s * std / math.sqrt(std**2 + s**2)
        c_in = 1 / math.sqrt(s**2 + std**2)
        F = denoiser.network(c_in * row[None], torch.tensor([math.log(s) / 4]))
        rows.append(c_skip * row[None] + c_out * F)
    return torch.cat(rows)


def test_preconditioning_is_that_of_the_paper_in_float64(tiny_edm, x):
    double = tiny_edm.to("cpu", torch.float64)
    sigma = torch.tensor(SIGMAS, dtype=torch.float64)
    found = double.denoise(x.double(), sigma)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, by_hand(double, x.double(), SIGMAS), rtol=1e-9, atol=1e-9)
    in_float32 = tiny_edm.denoise(x, torch.tensor(SIGMAS))
    torch.testing.assert_close(in_float32.double(), found, rtol=1e-4, atol=1e-4)


def test_every_sample_has_its_own_sigma(tiny_edm, x):
    together = tiny_edm.denoise(x, torch.tensor(SIGMAS))
    turned = tiny_edm.denoise(x, torch.tensor(SIGMAS[::-1]))
    alone = [tiny_edm.denoise(x[i : i + 1], torch.tensor([s])) for i, s in enumerate(SIGMAS)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], turned[0], atol=1e-2)


def test_the_estimate_goes_to_x_in_proportion_to_sigma(tiny_edm, x):
    gaps = [
        float((tiny_edm.denoise(x, torch.full((len(x),), s)) - x).abs().max())
        for s in (1e-2, 1e-3, 1e-4)
    ]
    assert gaps[0] > 1e-3  # a network that outputs zeros would show nothing
    assert gaps[2] < gaps[1] < gaps[0]
    assert gaps[2] < 2e-3


def test_at_large_sigma_only_the_network_speaks(tiny_edm, x):
    sigma = torch.full((len(x),), 1e4)
    F = tiny_edm.network(x / 1e4, sigma.log() / 4)
    torch.testing.assert_close(tiny_edm.denoise(x, sigma), 0.5 * F, rtol=1e-3, atol=1e-3)


def test_the_loss_is_the_plain_error_of_the_network_on_its_effective_target(tiny_edm):
    """Karras et al. 2022, Eq. 8: the weight undoes c_out^2 exactly."""
    x0 = 0.5 * torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    words = {"log_sigma_mean": -1.2, "log_sigma_std": 1.2}
    found = training_loss(tiny_edm, x0, torch.Generator().manual_seed(5), **words)
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
            loss = training_loss(
                fresh, x0, torch.Generator().manual_seed(1), log_sigma_mean=mean, log_sigma_std=0.1
            )
        assert float(loss) == pytest.approx(1, abs=0.03)


def test_the_loss_is_a_function_of_the_generator_and_has_gradients():
    fresh = EdmDenoiser(UNet(1, patch=2, channels=(8,), depth=1), (1, 8, 8), 0.5)
    x0 = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def loss(seed):
        generator = torch.Generator().manual_seed(seed)
        return training_loss(fresh, x0, generator, log_sigma_mean=-1.0, log_sigma_std=1.0)

    assert loss(1).item() == loss(1).item() != loss(2).item()
    loss(1).backward()
    assert fresh.network.conv_out.weight.grad.abs().max() > 0


def test_images_and_samples_map_onto_each_other():
    denoiser = EdmDenoiser(UNet(1, patch=1, channels=(8,), depth=1), (1, 1, 3), 0.5)
    images = torch.tensor([[[[0.0, 0.25, 1.0]]]])
    assert denoiser.encode(images).flatten().tolist() == [-1, -0.5, 1]
    assert torch.equal(denoiser.decode(denoiser.encode(images)), images)
    assert denoiser.decode(torch.tensor([[[[-3.0, 0.0, 3.0]]]])).flatten().tolist() == [0, 0.5, 1]


def test_a_copy_in_another_precision_leaves_the_original_alone(tiny_edm):
    before = fingerprint(tiny_edm)
    other = tiny_edm.to("cpu", torch.bfloat16)
    assert {w.dtype for w in other.network.parameters()} == {torch.bfloat16}
    assert {w.dtype for w in tiny_edm.network.parameters()} == {torch.float32}
    assert fingerprint(tiny_edm) == before
    assert other.default_sites == tiny_edm.default_sites
    x = torch.zeros(1, 1, 16, 16)
    assert other.denoise(x, torch.ones(1)).dtype == torch.float32
    assert replace(other, network=tiny_edm.network) == tiny_edm


def test_a_value_a_sample_broadcasts_over_the_sample():
    values = per_sample(torch.tensor([2.0, 3.0]), torch.ones(2, 4, 5, 6))
    assert values.shape == (2, 1, 1, 1)
    assert per_sample(torch.tensor([2.0, 3.0]), torch.ones(2, 4)).shape == (2, 1)
