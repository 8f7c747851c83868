"""Where a network computes and what it holds, also when its weights are offloaded or quantised.

Offloaded by `enable_model_cpu_offload`, weights lie on the CPU until a hook of accelerate moves
the whole network where it computes; its inputs must lie there already. Offloaded layer by layer
(`enable_sequential_cpu_offload`, `enable_group_offload`), there are no weights to read: the
fingerprint needs them, and so does the look at shapes alone that finds the sites. Such a pipeline
is refused.

Quantised (torchao, GGUF as diffusers loads it), a weight is a tensor of a class of its own around
bytes and scales. It is hashed as what it holds. A LoRA cannot be added to it.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import BadInputError

GROUP_OFFLOADING = "group_offloading"
PLAIN = (Tensor, nn.Parameter, nn.Buffer)


def find_device(module: nn.Module) -> torch.device:
    """Say where a module computes: where its hooks move it, else where its weights lie."""
    for part in module.modules():
        device = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def find_dtype(module: nn.Module) -> torch.dtype:
    """Say in which type a module takes its inputs: that of its first weight that is no bytes."""
    floating = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(floating, torch.float32)


def list_plain(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """List the plain tensors of a weight by name: itself, or what a quantised one is made of."""
    if hasattr(tensor, "__tensor_flatten__"):
        inner: Any = tensor
        for part in inner.__tensor_flatten__()[0]:
            yield from list_plain(f"{name}.{part}", getattr(inner, part))
        return
    with (
        torch._C.DisableTorchFunctionSubclass()
    ):  # GGUF's class keeps itself alive in every result
        yield name, tensor.detach()


def is_quantised(weight: Tensor) -> bool:
    """Tell whether a weight is no plain tensor of floating-point numbers."""
    return type(weight) not in PLAIN or not weight.is_floating_point()


def check_placed(pipeline: Any) -> None:  # noqa: ANN401 - diffusers is optional
    """Refuse a pipeline with a network whose weights are offloaded layer by layer.

    Raises:
        BadInputError: naming the network, and what works instead.
    """
    for name, part in getattr(pipeline, "components", {}).items():
        if isinstance(part, nn.Module) and _is_scattered(part):
            raise BadInputError(
                f"The {name} of this {type(pipeline).__name__} is offloaded layer by layer, and "
                "its weights cannot be read. Take enable_model_cpu_offload(), which moves whole "
                "networks, or no offloading."
            )


def _is_scattered(module: nn.Module) -> bool:
    if any(tensor.is_meta for tensor in module.parameters()):
        return True
    registries = (getattr(part, "_diffusers_hook", None) for part in module.modules())
    return any(one is not None and one.get_hook(GROUP_OFFLOADING) for one in registries)
