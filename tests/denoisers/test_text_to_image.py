import pytest
import torch
from torch import nn

from equipoise.denoisers import Denoiser, GaussianDenoiser, build_text_to_image
from equipoise.denoisers.codec import NoCodec
from equipoise.denoisers.latent import LatentShapes
from equipoise.denoisers.level import FlowTimes


class Flow(nn.Module):
    """The exact velocity of a Gaussian's flow, shifted by what it is told."""

    def __init__(self, gaussian):
        super().__init__()
        self.gaussian = gaussian
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, z, time, text):
        t = time.reshape(-1, 1, 1, 1)
        x0 = self.gaussian.denoise((z / (1 - t)).flatten(1), (time / (1 - time))).reshape(z.shape)
        return (z - (1 - t) * x0) / t - x0 + text.reshape(-1, 1, 1, 1)


@pytest.fixture
def gaussian():
    return GaussianDenoiser(torch.full((4,), 0.5).double(), torch.eye(4).double())


@pytest.fixture
def model(gaussian):
    return build_text_to_image(
        Flow(gaussian),
        encode=lambda prompts: {"text": torch.tensor([[len(p)] for p in prompts]).double()},
        tell=lambda network, z, time, parts: network(z, time, parts["text"]),
        prediction="flow",
        grid=FlowTimes(unit=1.0),
        shapes=LatentShapes((1, 2, 2), (3, 16, 16)),
        sites=(),
        codec=NoCodec(),
    )


def test_the_exact_velocity_gives_the_exact_estimate(model, gaussian):
    assert isinstance(model, Denoiser)
    x = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
    expected = gaussian.denoise(x.flatten(1), sigma).reshape(x.shape)
    torch.testing.assert_close(model.denoise(x, sigma), expected)


def test_each_row_is_told_its_own_prompt(model):
    x, sigma = torch.zeros(2, 1, 2, 2).double(), torch.ones(2).double()
    asked = model.denoise(x, sigma, model.encode_prompts(["", "four"]))
    plain = model.denoise(x, sigma)
    # D = z - t F with t = 1/2: four more in F is two less in D.
    torch.testing.assert_close(asked, plain - torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1))
