import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.checkpoints.lora import Lora, LowRank
from equipoise.denoisers import device_of, fingerprint
from equipoise.denoisers.adapter import apply_lora
from equipoise.denoisers.family import Family, register_family
from equipoise.denoisers.placement import check_placed, find_device, find_dtype, list_plain
from equipoise.errors import BadInputError


class Scaled(torch.Tensor):
    """A stand-in for torchao's: bytes and a scale, which any operation turns back to numbers."""

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=scale.dtype)

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return cls(args[0].numbers, args[0].scale)
        if function is torch.ops.aten.view.default:
            raise NotImplementedError("bytes of a whole are not there to see")
        plain = [one.numbers * one.scale if isinstance(one, cls) else one for one in args]
        return function(*plain, **(kwargs or {}))


class Sticky(nn.Parameter):
    """A stand-in for GGUF's: bytes of a class that stays with every result."""

    def __new__(cls, numbers):
        return torch.Tensor._make_subclass(cls, numbers, False)


def build_net(weight=None):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    if weight is not None:
        net[0].weight = nn.Parameter(weight, requires_grad=False)
    return eq.wrap(
        net, sample_shape=(1, 2, 2), data_std=1.0, prediction="x0",
        call=lambda n, x, sigma: n(x.flatten(1)).reshape(x.shape), sites=("2:in",),
    )  # fmt: skip


@pytest.fixture
def quantised():
    numbers = torch.arange(-16, 16, dtype=torch.int8).reshape(8, 4)
    return build_net(Scaled(numbers, torch.tensor(0.05)))


def test_a_quantised_network_is_looked_into_as_it_computes(quantised):
    images = torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    weight = quantised.network[0].weight
    plain = build_net(weight.numbers * weight.scale)
    torch.testing.assert_close(
        eq.spikiness(quantised, images).values, eq.spikiness(plain, images).values
    )
    assert len(eq.calibrate(quantised, images, fpr=0.1)(images).verdicts) == 9


def test_the_fingerprint_is_that_of_bytes_and_scale(quantised):
    before = fingerprint(quantised)
    assert before != fingerprint(build_net())
    quantised.network[0].weight.scale.mul_(2)
    assert fingerprint(quantised) != before


def test_bytes_that_keep_their_class_are_read_plainly():
    held = Sticky(torch.arange(5, dtype=torch.uint8))
    ((name, plain),) = list_plain("w", held)
    assert (name, type(plain)) == ("w", torch.Tensor)
    assert torch.equal(plain, torch.arange(5, dtype=torch.uint8))
    module = nn.Linear(2, 2).to(torch.bfloat16)
    module.register_parameter("aaa", held)
    assert find_dtype(module) is torch.bfloat16


def test_a_lora_is_not_added_to_bytes(quantised):
    lora = Lora({"0": LowRank(torch.ones(1, 4), torch.ones(8, 1), 1.0)}, left_out=0)
    with pytest.raises(BadInputError, match="quantised"):
        apply_lora(quantised, lora)


def test_a_network_computes_where_its_hook_moves_it():
    model = build_net()
    assert device_of(model) == torch.device("cpu")
    model.network[2]._hf_hook = type("Hook", (), {"execution_device": "meta"})()
    assert find_device(model.network) == torch.device("meta")


class TwoNetworks:
    """A stand-in for a pipeline."""

    def __init__(self):
        self.components = {"scheduler": None, "vae": nn.Linear(2, 2), "unet": nn.Linear(2, 2)}


def test_whole_networks_may_be_offloaded_and_layers_may_not():
    from accelerate import cpu_offload, cpu_offload_with_hook

    pipeline = TwoNetworks()
    hook = None
    for module in list(pipeline.components.values())[1:]:
        _, hook = cpu_offload_with_hook(module, torch.device("cpu"), prev_module_hook=hook)
    check_placed(pipeline)
    cpu_offload(pipeline.components["unet"], torch.device("cpu"))
    with pytest.raises(BadInputError, match="The unet of this TwoNetworks is offloaded layer by"):
        check_placed(pipeline)


def test_groups_of_layers_may_not_be_offloaded():
    pipeline = TwoNetworks()
    hooks = {"group_offloading": object()}
    pipeline.components["vae"]._diffusers_hook = type(
        "Registry", (), {"get_hook": lambda self, name: hooks.get(name)}
    )()
    register_family("TwoNetworks", Family("two", lambda pipeline: build_net()))
    with pytest.raises(BadInputError, match="The vae of this TwoNetworks is offloaded"):
        eq.load(pipeline)
