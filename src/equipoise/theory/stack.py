r"""A stack of ReLU-DAEs, one a noise level, and the sampler that steps down through it (Fig. 2).

    x_next = x + (sigma_next - sigma) (x - f_sigma(x)) / sigma      (DDIM in this parametrisation)

Without biases `f(c x) = c f(x)` for every `c > 0`, and so the whole sampler carries `c x` to `c`
times what it carries `x` to: a stack can know the *direction* of a training sample, never its
length. Nearness is therefore measured by the sine of the angle to the nearest training sample,
which is the distance to its ray for a sample of length one: 0 on the ray, 1 at a right angle.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Fig. 2 | arXiv 2512.20963
    Denoising Diffusion Implicit Models (Song et al., 2020), Eq. 12 | arXiv 2010.02502
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from equipoise.denoisers import Denoiser
from equipoise.denoisers.data_units import DataUnits
from equipoise.errors import BadInputError
from equipoise.theory.relu_dae import ReluDae
from equipoise.theory.requirement import check_nonzero, check_samples

TOLERANCE = 1e-4
"""Relative distance up to which a noise level counts as one of the stack."""


@dataclass(frozen=True)
class DaeStack(DataUnits):
    """ReLU-DAEs of descending noise levels, as one `Denoiser` that knows those levels only.

    Args:
        sigmas: Noise levels in data units, descending, positive.
        daes: The network of each level, all of one dim.
        data_std: Standard deviation of the training data, in data units.

    Raises:
        BadInputError: for levels that do not descend, or networks that do not fit them.
    """

    sigmas: tuple[float, ...]
    daes: tuple[ReluDae, ...]
    data_std: float
    default_sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        dims = {dae.W1.shape[0] for dae in self.daes}
        if not _descend(self.sigmas) or len(self.daes) != len(self.sigmas) or len(dims) != 1:
            raise BadInputError(
                f"A stack got {len(self.daes)} networks of dims {sorted(dims)} for the noise "
                f"levels {self.sigmas}. Pass one network a level, all of one dim, and positive "
                "levels that descend."
            )

    @property
    def network(self) -> nn.Module:
        """All networks, the noisiest first."""
        return nn.ModuleList(self.daes)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """`(dim,)`."""
        return (self.daes[0].W1.shape[0],)

    def denoise(
        self,
        x: Float[Tensor, "batch dim"],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Estimate `E[x0 | x]` by the network of each sample's noise level.

        Raises:
            BadInputError: for a level that the stack does not have.
        """
        x0_hat = torch.empty_like(x)
        for level in sigma.unique().tolist():
            snapped = self.snap(level)
            if not abs(level - snapped) <= TOLERANCE * snapped:  # so that NaN is refused
                raise BadInputError(
                    f"The stack has no network for sigma={level:.5g}. Its levels are "
                    f"{', '.join(f'{s:.4g}' for s in self.sigmas)}; `snap` names the nearest."
                )
            rows = sigma == level
            dae = self.daes[self.sigmas.index(snapped)]
            x0_hat[rows] = dae(x[rows].to(dae.W1.dtype)).to(x.dtype)
        return x0_hat

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level of the stack."""
        return min(self.sigmas, key=lambda known: abs(known - sigma))


def space_sigmas(sigma_max: float, sigma_min: float, *, count: int) -> tuple[float, ...]:
    """Space noise levels evenly in their logarithm, descending.

    Raises:
        BadInputError: for levels out of order, or fewer than two.
    """
    if count < 2 or not 0 < sigma_min < sigma_max < inf:
        raise BadInputError(
            f"Cannot space {count} noise levels from {sigma_max} to {sigma_min}: at least 2 "
            "levels and 0 < sigma_min < sigma_max, finite, are needed."
        )
    ratio = (sigma_min / sigma_max) ** (1 / (count - 1))
    return tuple(sigma_max * ratio**step for step in range(count))


def sample_ddim(
    denoiser: Denoiser, noise: Float[Tensor, "batch ..."], sigmas: Sequence[float]
) -> Iterator[Float[Tensor, "batch ..."]]:
    """Yield x after every deterministic DDIM step, from `sigmas[0] * noise` to noise level 0.

    Args:
        denoiser: The model; a `DaeStack`, or any other.
        noise: Standard normal noise.
        sigmas: Descending noise levels in data units, positive; the step to 0 is added.

    Raises:
        BadInputError: for no level, or levels out of order; when the first step is asked for.
    """
    if not len(sigmas) or not _descend(sigmas):
        raise BadInputError(
            f"DDIM got the noise levels {tuple(sigmas)}. One or more are needed, positive, finite "
            "and descending, without the last 0; see space_sigmas."
        )
    x = noise * sigmas[0]
    cond = denoiser.null_condition(len(noise))
    for sigma, sigma_next in pairwise([*sigmas, 0.0]):
        with torch.no_grad():  # here and not around the generator, which gives way at each yield
            x0_hat = denoiser.denoise(x, x.new_full((len(x),), sigma), cond)
        x = x + (sigma_next - sigma) * (x - x0_hat) / sigma
        yield x


@dataclass(frozen=True)
class Nearest:
    """For each sample, its nearest training sample by angle."""

    index: Int[Tensor, " case"]
    sine: Float[Tensor, " case"]
    """Sine of the angle: 0 on the ray of the training sample, 1 at a right angle or beyond."""
    distance: Float[Tensor, " case"]
    """Distance to it, relative to its norm; shows the length that a stack cannot know."""


def measure_nearest(
    samples: Float[Tensor, "case dim"], training: Float[Tensor, "other _"]
) -> Nearest:
    """Find the nearest training sample of each sample, by angle.

    Raises:
        BadInputError: when samples or training samples are no matrix, they do not fit each
            other, or one is zero.
        NonFiniteError: for NaN or infinity.
    """
    for what, X in (("Sample", samples), ("Training sample", training)):
        check_samples(X, what=f"The matrix of {what.lower()}s")
        check_nonzero(X, what=what)
    if (samples.shape[1], samples.dtype) != (training.shape[1], training.dtype):
        raise BadInputError(
            f"The samples have {samples.shape[1]} values of type {samples.dtype}, the training "
            f"samples {training.shape[1]} of {training.dtype}. Bring both to one dim and type."
        )
    own, other = normalize(samples, dim=1), normalize(training, dim=1)
    cosine, index = (own @ other.T).max(1)
    # sine by the residual, which keeps its digits where the cosine is nearly 1
    residual = (own - cosine[:, None] * other[index]).norm(dim=1)
    chosen = training[index]
    distance = (samples - chosen).norm(dim=1) / chosen.norm(dim=1)
    return Nearest(index, torch.where(cosine > 0, residual, 1.0), distance)


def _descend(sigmas: Sequence[float]) -> bool:
    """Say whether noise levels are finite, descending and positive."""
    return all(high > low for high, low in pairwise([inf, *sigmas, 0.0]))
