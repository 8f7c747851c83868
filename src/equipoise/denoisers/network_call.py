r"""What a network was told in one call, in our language: sample, noise levels, condition.

Every network that an adapter of this room calls takes the sample first, the time second and the
condition third, under whatever names; so do the pipelines of diffusers. The time becomes a noise
level by the inverse of what the adapter does:

    TimedDenoiser           sigma_t of the schedule; between two times by its logarithm
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
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.preconditioning import (
    IddpmPreconditioning,
    Preconditioning,
    VePreconditioning,
    VpPreconditioning,
)
from equipoise.denoisers.protocol import Denoiser
from equipoise.denoisers.timed import TimedDenoiser


@dataclass(frozen=True)
class NetworkCall:
    """One call of a network.

    Args:
        sample: What it was given first, as it was scaled for it.
        sigma: Noise level of every row, data units.
        condition: What it was given third.
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
    sample, time, condition = (given.get(name) for name in (*names, "", "", "")[:3])
    if not isinstance(sample, Tensor) or not isinstance(time, Tensor | float | int):
        return None
    told = torch.as_tensor(time).detach().double().cpu().reshape(-1).expand(len(sample))
    sigma = find_sigma(denoiser, told)
    return NetworkCall(sample, sigma, condition if isinstance(condition, Tensor) else None)


def find_sigma(denoiser: Denoiser, time: Float64[Tensor, " row"]) -> Float64[Tensor, " row"]:
    """Return the noise levels of what an adapter tells its network."""
    if isinstance(denoiser, TimedDenoiser):
        return _interpolate(denoiser.grid, time)
    if isinstance(denoiser, EdmDenoiser):
        return (4 * time).exp()
    if isinstance(denoiser, PreconditionedDenoiser):
        return _invert(denoiser.preconditioning, time)
    return time


def _interpolate(grid: NoiseGrid, time: Float64[Tensor, " row"]) -> Float64[Tensor, " row"]:
    """Read the schedule; times between two of it are asked for by samplers with their own."""
    inside = time.clamp(0, len(grid.sigmas) - 1)
    low = inside.floor().long()
    high = (low + 1).clamp(max=len(grid.sigmas) - 1)
    part = inside - low
    return ((1 - part) * grid.sigmas[low].log() + part * grid.sigmas[high].log()).exp()


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
