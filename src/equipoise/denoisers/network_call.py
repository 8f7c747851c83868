r"""What a network was told in one call, in our language: sample, noise levels, condition.

Every network that an adapter of this room calls takes the sample first; the time is what diffusers
calls `timestep`, elsewhere the second argument; the condition what diffusers calls
`encoder_hidden_states` or `class_labels`, elsewhere the third. The time becomes a noise level by
the inverse of what the adapter does:

    TimedDenoiser           that of its times
    EdmDenoiser             exp(4 c_noise)
    PreconditionedDenoiser  the inverse of its column's c_noise
    any other               the second argument is the noise level
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from equipoise.denoisers.edm import EdmDenoiser
from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.preconditioning import (
    IddpmPreconditioning,
    Preconditioning,
    VePreconditioning,
    VpPreconditioning,
)
from equipoise.denoisers.protocol import Denoiser
from equipoise.denoisers.timed import TimedDenoiser

CONDITIONS = ("encoder_hidden_states", "class_labels")


@dataclass(frozen=True)
class NetworkCall:
    """One call of a network.

    Args:
        sample: What it was given first, as it was scaled for it.
        sigma: Noise level of every row, data units.
        condition: Its text or its class; of several tensors of text the tokens.
    """

    sample: Tensor
    sigma: Float64[Tensor, " row"]
    condition: Tensor | None


def read_call(
    denoiser: Denoiser, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> NetworkCall | None:
    """Read a call of a denoiser's network; None where it does not have the usual arguments."""
    names = list(inspect.signature(denoiser.network.forward).parameters)
    given = {**kwargs, **dict(zip(names, args, strict=False))}
    first, second, third = (*names, "", "", "")[:3]
    sample = given.get(first)
    time = given.get("timestep" if "timestep" in names else second)
    told = next((name for name in CONDITIONS if name in names), third)
    condition = given.get(told)
    if not isinstance(sample, Tensor) or not isinstance(time, Tensor | float | int):
        return None
    times = torch.as_tensor(time).detach().double().cpu().reshape(-1).expand(len(sample))
    sigma = find_sigma(denoiser, times)
    return NetworkCall(sample, sigma, condition if isinstance(condition, Tensor) else None)


def find_empty(denoiser: Denoiser) -> Tensor | None:
    """Return the empty condition as a call of the network shows it, with a batch axis of 1."""
    empty = denoiser.null_condition(1)
    layout = denoiser.layout if isinstance(denoiser, TimedDenoiser) else None
    if empty is None or layout is None:
        return empty
    return next(iter(layout.unpack(empty).values()))


def find_sigma(denoiser: Denoiser, time: Float64[Tensor, " row"]) -> Float64[Tensor, " row"]:
    """Return the noise levels of what an adapter tells its network."""
    if isinstance(denoiser, TimedDenoiser):
        return denoiser.grid.find_sigma(time)
    if isinstance(denoiser, EdmDenoiser):
        return (4 * time).exp()
    if isinstance(denoiser, PreconditionedDenoiser):
        return _invert(denoiser.preconditioning, time)
    return time


def _invert(column: Preconditioning, c_noise: Float[Tensor, " row"]) -> Float64[Tensor, " row"]:
    if isinstance(column, VpPreconditioning):
        t = c_noise / (column.times - 1)
        return (column.beta_d * t**2 / 2 + column.beta_min * t).expm1().sqrt()
    if isinstance(column, VePreconditioning):
        return 2 * c_noise.exp()
    if isinstance(column, IddpmPreconditioning):
        place = len(column.levels) - 2 - c_noise.round().long()
        return column.levels.double().cpu()[place]
    return (4 * c_noise).exp()
