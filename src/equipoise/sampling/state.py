"""What a solver yields after every step, and what a solver is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser


@dataclass(frozen=True)
class SamplerState:
    """The state after a step: `x` at noise level `sigma`, and the last estimate of `x0`."""

    step: int
    sigma: float
    x: Float[Tensor, "batch ..."]
    x0_hat: Float[Tensor, "batch ..."]
    evaluations: int


@runtime_checkable
class Solver(Protocol):
    """A way to follow the ODE of a denoiser from noise to a sample, step by step."""

    def __call__(
        self,
        denoiser: Denoiser,
        noise: Float[Tensor, "batch ..."],
        sigmas: Sequence[float],
        *,
        cond: Tensor | None = None,
    ) -> Iterator[SamplerState]:
        """Yield the state after every step.

        Args:
            denoiser: The model.
            noise: Standard normal noise; `x = sigmas[0] * noise` is the start.
            sigmas: Decreasing noise levels in data units, the last one 0.
            cond: Condition; None means the empty one.
        """
        ...
