import copy
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from equipoise.denoisers import (
    Denoiser,
    EdmDenoiser,
    GaussianDenoiser,
    IdealDenoiser,
    check_finite_weights,
    device_of,
    fingerprint,
    wrap,
)
from equipoise.errors import NonFiniteError


def changed(denoiser, change):
    network = copy.deepcopy(denoiser.network)
    with torch.no_grad():
        change(network)
    return replace(denoiser, network=network)


def test_every_denoiser_of_the_room_keeps_the_protocol(tiny_edm):
    linear = wrap(nn.Linear(3, 3), sample_shape=(3,), data_std=1.0)
    closed = [IdealDenoiser(torch.eye(3)), GaussianDenoiser(torch.zeros(3), torch.eye(3))]
    for denoiser in (tiny_edm, linear, *closed):
        assert isinstance(denoiser, Denoiser)
        assert denoiser.null_condition(2) is None
    assert not isinstance(nn.Linear(3, 3), Denoiser)


def test_a_fingerprint_is_sixteen_hexadecimal_digits_and_the_same_for_equal_weights(tiny_edm):
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(tiny_edm))
    assert fingerprint(changed(tiny_edm, lambda _: None)) == fingerprint(tiny_edm)


def test_the_memory_layout_of_the_weights_is_no_part_of_the_fingerprint(tiny_edm):
    last = changed(tiny_edm, lambda network: network.to(memory_format=torch.channels_last))
    assert last.network.conv_in.weight.stride() != tiny_edm.network.conv_in.weight.stride()
    assert fingerprint(last) == fingerprint(tiny_edm)


def test_one_changed_weight_changes_the_fingerprint(tiny_edm):
    def nudge(network):
        weight = network.mid_block.resnets[0].conv1.weight
        weight[3, 1, 2, 0] = torch.nextafter(weight[3, 1, 2, 0], torch.tensor(9.0))

    assert fingerprint(changed(tiny_edm, nudge)) != fingerprint(tiny_edm)


@pytest.mark.parametrize(
    "other",
    [
        lambda w: IdealDenoiser(w.reshape(3, 2)),
        lambda w: IdealDenoiser(w.view(torch.int32).view(torch.float16).reshape(2, 6)),
        lambda w: wrap(named(other=w), sample_shape=(3,), data_std=1.0),
    ],
    ids=["a shape", "a type", "a name"],
)
def test_the_same_bytes_under_another_word_have_another_fingerprint(other):
    weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    same = wrap(named(points=weights), sample_shape=(3,), data_std=1.0)
    assert fingerprint(same) == fingerprint(IdealDenoiser(weights))
    assert fingerprint(other(weights)) != fingerprint(IdealDenoiser(weights))


def named(**tensors):
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


def test_compiling_a_network_does_not_change_its_fingerprint(tiny_edm):
    compiled = replace(tiny_edm, network=torch.compile(tiny_edm.network, backend="eager"))
    assert fingerprint(compiled) == fingerprint(tiny_edm)


def test_the_device_is_that_of_a_buffer_and_the_cpu_without_tensors():
    elsewhere = EdmDenoiser(named(tensor=torch.eye(2, device="meta")), (2,), 0.5)
    assert device_of(elsewhere).type == "meta"
    assert device_of(wrap(nn.Identity(), sample_shape=(2,), data_std=1.0)).type == "cpu"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_a_weight_that_is_not_finite_is_refused_by_its_name(tiny_edm, value):
    def spoil(network):
        network.mid_block.resnets[0].conv1.bias[2] = value

    check_finite_weights(tiny_edm.network)
    network = changed(tiny_edm, spoil).network
    with pytest.raises(NonFiniteError, match=r"in 1 tensor.*: mid_block\.resnets\.0\.conv1\.bias"):
        check_finite_weights(network)


def test_buffers_and_integers_are_checked_too():
    norm = nn.BatchNorm1d(3)  # holds an integer tensor
    check_finite_weights(norm)
    norm.running_var[0] = float("nan")
    with pytest.raises(NonFiniteError, match="running_var"):
        check_finite_weights(norm)


def test_weights_whose_sum_overflows_are_finite_all_the_same():
    network = torch.nn.Linear(4, 1)
    torch.nn.init.constant_(network.weight, 3e38)
    assert not torch.isfinite(network.weight.sum())
    check_finite_weights(network)
