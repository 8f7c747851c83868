import pytest
import torch

from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.guidance import guide
from equipoise.denoisers.level import NoiseGrid
from equipoise.errors import BadInputError

GRID = NoiseGrid.from_alphas(torch.tensor([0.9, 0.5, 0.1]))


def build(prediction, empty):
    network = torch.nn.Conv2d(1, 1, 1)

    def call(network, z, time, cond):
        added = 0 if cond is None else cond.reshape(-1, 1, 1, 1)
        return network(z) + added + time.reshape(-1, 1, 1, 1) / 10

    return TimedDenoiser(
        network=network, call=call, prediction=prediction, grid=GRID, codec=PixelCodec(),
        empty=empty, sample_shape=(1, 2, 2), image_shape=(1, 2, 2), data_std=1.0,
        default_sites=(),
    )  # fmt: skip


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_guiding_the_network_is_guiding_the_estimate(prediction):
    model = build(prediction, torch.tensor([0.25]))
    x = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    sigma, cond = torch.tensor([1.0, 3.0, 1.0]), torch.tensor([2.0, -1.0, 0.25])
    asked, unasked = model.denoise(x, sigma, cond), model.denoise(x, sigma)
    expected = unasked + 2.5 * (asked - unasked)
    torch.testing.assert_close(guide(model, 2.5).denoise(x, sigma, cond), expected)
    torch.testing.assert_close(guide(model, 2.5).denoise(x, sigma), unasked)


def test_both_halves_are_one_forward_with_the_empty_one_first():
    model, seen = build("eps", torch.tensor([7.0])), []
    model.network.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    guide(model, 3.0).denoise(torch.ones(2, 1, 2, 2), torch.ones(2), torch.tensor([1.0, 2.0]))
    assert [len(batch) for batch in seen] == [4]


def test_at_scale_one_nothing_is_added():
    model = build("eps", torch.tensor([0.0]))
    assert guide(model, 1.0) is model


def test_a_model_without_a_condition_is_refused(tiny_edm):
    for model in (tiny_edm, build("eps", None)):
        with pytest.raises(BadInputError, match="Leave guidance at 1"):
            guide(model, 2.0)
