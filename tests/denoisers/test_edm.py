import math
from dataclasses import replace

import pytest
import torch

from equipoise.denoisers import EdmDenoiser, UNet, fingerprint
from equipoise.denoisers.edm import per_sample

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
