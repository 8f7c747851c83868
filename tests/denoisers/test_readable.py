import pytest
from torch import nn

from equipoise.denoisers import wrap
from equipoise.denoisers.readable import check_readable
from equipoise.errors import BadInputError


class Scaled(nn.Module):
    def forward(self, x, second):
        raise AssertionError("nothing is computed")


def test_a_network_that_is_told_the_noise_level_is_understood():
    check_readable(wrap(Scaled(), sample_shape=(1, 4, 4), data_std=0.5))


def test_a_network_that_is_told_something_else_is_refused_and_left_without_hooks():
    odd = wrap(
        Scaled(), sample_shape=(1, 4, 4), data_std=0.5,
        call=lambda net, x, sigma: net(x, 1 / sigma),
    )  # fmt: skip
    with pytest.raises(BadInputError, match="cannot be read"):
        check_readable(odd)
    assert not odd.network._forward_pre_hooks
