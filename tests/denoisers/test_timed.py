"""What all families with times share is tested through `test_dit` and `test_stable_diffusion`."""

import torch

from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.level import NoiseGrid


def test_the_network_gets_the_variance_preserving_input_its_time_and_the_empty_condition():
    seen = []

    def call(network, z, time, cond):
        seen.append((z, time, cond))
        return network(z)

    model = TimedDenoiser(
        network=torch.nn.Conv2d(1, 1, 1), call=call, prediction="x0",
        grid=NoiseGrid.from_alphas(torch.tensor([0.9, 0.5, 0.1])), codec=PixelCodec(),
        empty=torch.tensor([7]), sample_shape=(1, 2, 2), image_shape=(1, 2, 2), data_std=1.0,
        default_sites=(),
    )  # fmt: skip
    x = torch.ones(3, 1, 2, 2)
    sigma = torch.tensor([1.0, 3.0, 1.0])
    model.denoise(x, sigma)
    [(z, time, cond)] = seen
    torch.testing.assert_close(z[:, 0, 0, 0] ** 2, torch.tensor([0.5, 0.1, 0.5]))
    assert time.tolist() == [1, 2, 1]
    assert cond.tolist() == [7, 7, 7]
