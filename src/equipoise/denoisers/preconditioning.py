r"""From a raw network to a denoiser: the four preconditionings of Karras et al. (2022), Table 1.

    D(x; sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x; c_noise(sigma))

            c_skip         c_out                  c_in               c_noise
    VP      1              -sigma                 1/sqrt(sigma^2+1)  (M-1) t(sigma)
    VE      1              sigma                  1                  ln(sigma/2)
    iDDPM   1              -sigma                 1/sqrt(sigma^2+1)  M-1 - argmin_j |u_j - sigma|
    EDM     s^2/(sigma^2+s^2)  sigma s/sqrt(sigma^2+s^2)  1/sqrt(sigma^2+s^2)  ln(sigma)/4

with the standard deviation s of the data, and the time of the VP process

    t(sigma) = (sqrt(beta_min^2 + 2 beta_d ln(1 + sigma^2)) - beta_min) / beta_d.

All are computed in float32 as the formulas stand, because networks were trained on those
roundings: near sigma = .002 they move c_noise by a percent.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    Table 1, App. C | arXiv 2206.00364
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

PIXEL_STD = 0.5
"""Standard deviation of pictures in [-1, 1], where a model does not say its own."""


@dataclass(frozen=True)
class Coefficients:
    """`c_skip`, `c_out`, `c_in` and `c_noise` of a batch, each with one value a sample."""

    c_skip: Float[Tensor, " batch"]
    c_out: Float[Tensor, " batch"]
    c_in: Float[Tensor, " batch"]
    c_noise: Float[Tensor, " batch"]


@runtime_checkable
class Preconditioning(Protocol):
    """A column of the table."""

    @property
    def data_std(self) -> float:
        """Standard deviation of the training data, in data units."""
        ...

    def coefficients(self, sigma: Float[Tensor, " batch"]) -> Coefficients:
        """Return the coefficients at noise levels in float32."""
        ...

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level that the network was trained on."""
        ...


@dataclass(frozen=True)
class EdmPreconditioning:
    """Column "Ours"."""

    data_std: float = PIXEL_STD

    def coefficients(self, sigma: Float[Tensor, " batch"]) -> Coefficients:
        """Return the coefficients at noise levels in float32."""
        s = self.data_std
        return Coefficients(
            c_skip=s**2 / (sigma**2 + s**2),
            c_out=sigma * s / (sigma**2 + s**2).sqrt(),
            c_in=1 / (s**2 + sigma**2).sqrt(),
            c_noise=sigma.log() / 4,
        )

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma


@dataclass(frozen=True)
class VpPreconditioning:
    """Column "VP": a continuous time, trained as DDPM was."""

    beta_d: float = 19.9
    beta_min: float = 0.1
    times: int = 1000
    data_std: float = field(default=PIXEL_STD, init=False)

    def coefficients(self, sigma: Float[Tensor, " batch"]) -> Coefficients:
        """Return the coefficients at noise levels in float32."""
        return Coefficients(
            c_skip=torch.ones_like(sigma),
            c_out=-sigma,
            c_in=1 / (sigma**2 + 1).sqrt(),
            c_noise=(self.times - 1) * self.find_time(sigma),
        )

    def find_time(self, sigma: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Return the time in [0, 1] at which the process has noise level `sigma`."""
        root = (self.beta_min**2 + 2 * self.beta_d * (1 + sigma**2).log()).sqrt()
        return (root - self.beta_min) / self.beta_d

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma


@dataclass(frozen=True)
class VePreconditioning:
    """Column "VE"."""

    data_std: float = field(default=PIXEL_STD, init=False)

    def coefficients(self, sigma: Float[Tensor, " batch"]) -> Coefficients:
        """Return the coefficients at noise levels in float32."""
        ones = torch.ones_like(sigma)
        return Coefficients(c_skip=ones, c_out=sigma, c_in=ones, c_noise=(0.5 * sigma).log())

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma


@dataclass(frozen=True)
class IddpmPreconditioning:
    """Column "iDDPM": the network knows the times of a list of noise levels.

    A level between two is given to the network as the nearest, and takes away its own noise.

    Args:
        levels: Noise levels, falling to 0.
    """

    levels: Float[Tensor, " level"]
    data_std: float = field(default=PIXEL_STD, init=False)

    def coefficients(self, sigma: Float[Tensor, " batch"]) -> Coefficients:
        """Return the coefficients at noise levels in float32."""
        last = len(self.levels) - 2
        return Coefficients(
            c_skip=torch.ones_like(sigma),
            c_out=-sigma,
            c_in=1 / (sigma**2 + 1).sqrt(),
            c_noise=last - self._find_nearest(sigma).to(sigma.dtype),
        )

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level of the list."""
        wanted = torch.tensor([sigma], dtype=self.levels.dtype, device=self.levels.device)
        return float(self.levels[self._find_nearest(wanted)])

    def _find_nearest(self, sigma: Tensor) -> Tensor:
        # cdist and not a difference: half-way levels must fall where they fell in training.
        levels = self.levels.to(sigma.device)
        return torch.cdist(sigma[None, :, None], levels[None, :, None]).argmin(2)[0]
