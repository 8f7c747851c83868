"""What all families with times share is tested through `test_dit` and `test_stable_diffusion`."""

import pytest
import torch

from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.errors import BadInputError
from equipoise.representation import sites


def build(network, call):
    return TimedDenoiser(
        network=network, call=call, prediction="x0",
        grid=NoiseGrid.from_alphas(torch.tensor([0.9, 0.5, 0.1])), codec=PixelCodec(),
        empty=torch.tensor([7]), sample_shape=(1, 2, 2), image_shape=(1, 2, 2), data_std=1.0,
        default_sites=(),
    )  # fmt: skip


def test_its_sites_are_listed_without_running_weights():
    kinds = []

    def call(network, z, time, cond):
        kinds.append(type(z).__name__)
        return network[1](network[0](z))

    model = build(torch.nn.Sequential(torch.nn.Conv2d(1, 3, 1), torch.nn.Conv2d(3, 1, 1)), call)
    assert [site.share for site in sites(model)] == [0, 0.5, 0.5, 1]
    assert kinds == ["FakeTensor"]


def test_the_network_gets_the_variance_preserving_input_its_time_and_the_empty_condition():
    seen = []

    def call(network, z, time, cond):
        seen.append((z, time, cond))
        return network(z)

    model = build(torch.nn.Conv2d(1, 1, 1), call)
    x = torch.ones(3, 1, 2, 2)
    sigma = torch.tensor([1.0, 3.0, 1.0])
    model.denoise(x, sigma)
    [(z, time, cond)] = seen
    torch.testing.assert_close(z[:, 0, 0, 0] ** 2, torch.tensor([0.5, 0.1, 0.5]))
    assert time.tolist() == [1, 2, 1]
    assert cond.tolist() == [7, 7, 7]


def test_a_model_without_prompts_refuses_them():
    model = build(torch.nn.Conv2d(1, 1, 1), lambda network, z, time, cond: network(z))
    with pytest.raises(BadInputError, match="takes no prompts"):
        model.encode_prompts(["a cat"])
