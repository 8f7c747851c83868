"""The networks made of these layers are compared with an independent one in `test_snapshot`."""

import pytest
import torch

from equipoise.denoisers.resnet import BlockStyle, Convolution, GroupNorm, ResidualBlock
from equipoise.errors import BadInputError

STYLE = BlockStyle(
    embedding=6, eps=1e-6, gain=0.5**0.5, scaled=False, head_channels=None, taps=(1.0, 1.0),
    projected=True,
)  # fmt: skip


@pytest.mark.parametrize("channels", [3, 37, 144])
def test_widths_that_do_not_fall_into_groups_are_refused(channels):
    with pytest.raises(BadInputError, match="whole groups"):
        GroupNorm(channels, eps=1e-6)


@pytest.mark.parametrize(("taps", "way"), [((1.0, 3.0, 3.0, 1.0), "up"), ((1.0, 1.0), "down")])
def test_resampling_keeps_a_constant_picture(taps, way):
    layer = Convolution(1, 1, 0, resampling=way, taps=taps)
    line = torch.tensor(taps)
    layer.resample_filter.copy_(line.outer(line)[None, None] / line.sum() ** 2)
    x = torch.ones(1, 1, 8, 8)
    inside = layer(x)[..., 2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert layer(x).shape[-1] == (16 if way == "up" else 4)


def test_attention_is_where_it_is_wanted_and_heads_have_their_width():
    assert ResidualBlock(8, 8, STYLE).heads == 0
    assert ResidualBlock(8, 8, STYLE, attends=True).heads == 1
    wide = BlockStyle(**{**STYLE.__dict__, "head_channels": 64})
    assert ResidualBlock(8, 128, wide, attends=True).heads == 2
    assert ResidualBlock(8, 8, wide, attends=True).heads == 0  # narrower than one head
