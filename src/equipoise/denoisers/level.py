r"""Noise levels of models that know discrete times only.

Their noisy sample is

    z_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps = sqrt(abar_t) (x0 + sigma_t eps)

so that

    sigma_t = sqrt((1 - abar_t) / abar_t)

is the noise level of time t in our language, and `sqrt(abar_t) = 1 / sqrt(1 + sigma_t^2)`.
A flow's sample `z_t = (1 - t) x0 + t eps` has the level `t / (1 - t)`.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    App. C.3 | arXiv 2206.00364
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from equipoise.errors import BadInputError

TOLERANCE = 1e-3
"""Relative distance up to which a noise level counts as one of the grid."""
LAST_FLOW = 1 - 1e-4
"""A flow's latest time that has a level, 9,999; its time 1 is noise alone and is read as this."""


def sigma_of_flow(time: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
    """Return the noise levels of a flow's times in [0, 1)."""
    return time / (1 - time)


def flow_of_sigma(sigma: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
    """Return a flow's times of noise levels."""
    return sigma / (1 + sigma)


@runtime_checkable
class Times(Protocol):
    """How a network is told the noise level."""

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level that the model knows."""
        ...

    def find_time(self, sigma: Float[Tensor, " batch"]) -> Tensor:
        """Return what the network is told."""
        ...

    def find_sigma(self, time: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
        """Return the noise level of what the network was told."""
        ...


@dataclass(frozen=True)
class FlowTimes:
    """The times of a flow: every level is known.

    Args:
        unit: What the network is told at time 1; 1,000 in most networks of diffusers.
    """

    unit: float = 1000.0

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma

    def find_time(self, sigma: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Return what the network is told, `unit sigma / (1 + sigma)`."""
        return self.unit * flow_of_sigma(sigma)

    def find_sigma(self, time: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
        """Return the noise level of what the network was told."""
        return sigma_of_flow((time / self.unit).clamp(max=LAST_FLOW))


@dataclass(frozen=True)
class NoiseGrid:
    """The noise levels a model was trained on, ascending with its times 0, 1, 2, ..."""

    sigmas: Float64[Tensor, " time"]

    @classmethod
    def from_alphas(cls, alphas_cumprod: Float[Tensor, " time"]) -> "NoiseGrid":
        """Build the grid from a scheduler's `alphas_cumprod`."""
        abar = alphas_cumprod.double().cpu()
        if not bool(((abar > 0) & (abar < 1)).all()) or not bool((abar.diff() < 0).all()):
            raise BadInputError(
                "The scheduler's alphas_cumprod must fall and lie strictly between 1 and 0; a "
                "schedule that ends in pure noise (zero terminal SNR) has no finite level there."
            )
        return cls(((1 - abar) / abar).sqrt())

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level of the grid, measured by its logarithm."""
        return float(self.sigmas[self._find_nearest(torch.tensor([sigma]))[0]])

    def find_time(self, sigma: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Return the times of noise levels on the grid.

        Raises:
            BadInputError: for a level that the model does not know; names the nearest.
        """
        if isinstance(sigma, FakeTensor):  # a forward that only learns shapes
            return torch.zeros(sigma.shape, dtype=torch.long, device=sigma.device)
        time = self._find_nearest(sigma)
        level = self.sigmas[time]
        wrong = (level / sigma.double().cpu() - 1).abs() > TOLERANCE
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise BadInputError(
                f"This model knows {len(self.sigmas)} noise levels from {self.sigmas[0]:.4g} to "
                f"{self.sigmas[-1]:.4g}, and {float(sigma[row]):.6g} is none of them; the nearest "
                f"is {float(level[row]):.6g}. Take model.snap(sigma)."
            )
        return time.to(sigma.device)

    def find_sigma(self, time: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
        """Return the noise level of a time; between two times of the grid by its logarithm."""
        inside = time.clamp(0, len(self.sigmas) - 1)
        low = inside.floor().long()
        high = (low + 1).clamp(max=len(self.sigmas) - 1)
        part = inside - low
        between = ((1 - part) * self.sigmas[low].log() + part * self.sigmas[high].log()).exp()
        return torch.where(part == 0, self.sigmas[low], between)

    def _find_nearest(self, sigma: Tensor) -> Tensor:
        distance = (self.sigmas.log() - sigma.double().cpu().log()[:, None]).abs()
        return distance.argmin(dim=1)
