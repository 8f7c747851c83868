"""A denoiser with a LoRA added to its weights; the base is left as it was."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.checkpoints.lora import Lora, LowRank
from equipoise.denoisers.placement import is_quantised
from equipoise.denoisers.protocol import Denoiser
from equipoise.errors import BadInputError, closest, quote


def apply_lora(denoiser: Denoiser, lora: Lora, *, scale: float = 1.0) -> Denoiser:
    """Return the denoiser of a network with a LoRA added at a scale.

    Args:
        denoiser: The base; its network is copied.
        lora: What is added.
        scale: 0 is the base, 1 what was trained.

    Raises:
        BadInputError: when the network lacks a module of the LoRA, has it in another shape, or
            has it quantised.
    """
    _refuse_quantised(denoiser.network, lora)
    network = copy.deepcopy(denoiser.network)
    weights = _list_weights(network)
    with torch.no_grad():
        for name, part in lora.parts.items():
            weight = _find_weight(weights, name, network)
            change = _fit(part, weight, name)
            weight += scale * change.to(weight)
    changed: Any = denoiser  # every denoiser of this package is a dataclass around its network
    return replace(changed, network=network)


def _refuse_quantised(network: nn.Module, lora: Lora) -> None:
    """Refuse bytes, which nothing can be added to, before they are copied."""
    weights = _list_weights(network)
    for name in lora.parts:
        weight = _find_weight(weights, name, network)
        if is_quantised(weight):
            raise BadInputError(
                f"The LoRA changes {quote(name)}, whose weight is quantised "
                f"({type(weight).__name__}) and cannot be added to. Give the base as it was "
                "before quantising."
            )


def _list_weights(network: nn.Module) -> dict[str, Tensor]:
    """Map module names to weights, also with kohya's underscores for dots."""
    found: dict[str, Tensor] = {
        name.removesuffix(".weight"): weight
        for name, weight in network.named_parameters()
        if name.endswith(".weight")
    }
    return {name.replace(".", "_"): weight for name, weight in found.items()} | found


def _find_weight(weights: dict[str, Tensor], name: str, network: nn.Module) -> Tensor:
    if name not in weights:
        raise BadInputError(
            f"The LoRA changes {quote(name)}, which this {type(network).__name__} has not. "
            f"Closest: {closest(name, list(weights))}. It was trained on another model."
        )
    return weights[name]


def _fit(part: LowRank, weight: Tensor, name: str) -> Tensor:
    change = part.build_change()
    if change.numel() != weight.numel() or len(change) != len(weight):
        raise BadInputError(
            f"The LoRA changes {quote(name)} by {tuple(change.shape)} numbers, and its weight has "
            f"{tuple(weight.shape)}. It was trained on a model of another size."
        )
    return change.reshape(weight.shape)
