r"""Whitened spikiness: how far the units lie from those of novel items, by their covariance.

    score = sign sqrt((sum_k (u_k . (h - m))^2 / l_k + ||r||^2 / s^2) / dim)

`m`, `u_k`, `l_k` are the mean, the leading principal axes and their variances of the units over
novel items; `r` is what the axes leave of `h - m`, `s^2` its mean variance over novel items
(the Mahalanobis distance of probabilistic principal components). A memorized image is answered by
units that do not go together over ordinary pictures; a scale for each unit alone, as `Spikiness`
has it, cannot see that.

With `residual` the score is the sum of two, each standardized over novel items: the logarithm of
this distance, and minus the logarithm of the denoising residual, at the price of a whole forward.

References:
    Probabilistic Principal Component Analysis (Tipping and Bishop, 1999)
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026) | arXiv 2512.20963
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, score_draws
from equipoise.detection.spikiness import UnitScale, join_units
from equipoise.errors import BadInputError
from equipoise.representation import Pooling, capture


class Whitening(BaseModel):
    """Mean and covariance of the units over novel items: leading axes, and one variance more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...]
    """Mean of each unit."""
    axes: tuple[tuple[float, ...], ...]
    """Leading principal axes, of length 1."""
    variances: tuple[float, ...]
    """Variance along each axis."""
    rest: float = Field(gt=0)
    """Variance of a unit that the axes leave."""

    @classmethod
    def fit(cls, units: Float[Tensor, "case unit"], *, num_axes: int) -> "Whitening":
        """Measure the covariance on the units of novel items.

        Raises:
            BadInputError: when there are not more items, and more units, than axes.
        """
        count, dim = units.shape
        if not 0 < num_axes < min(count - 1, dim):
            raise BadInputError(
                f"Cannot fit {num_axes} axes to {count} items of {dim} units: both must be more. "
                "Give more novel items, or fewer axes."
            )
        mean = units.double().mean(dim=0)
        _, lengths, axes = torch.linalg.svd(units.double() - mean, full_matrices=False)
        variances = lengths.square() / (count - 1)
        rest = variances[num_axes:].sum() / (dim - num_axes)
        return cls(
            mean=tuple(mean.tolist()),
            axes=tuple(tuple(axis) for axis in axes[:num_axes].tolist()),
            variances=tuple(variances[:num_axes].tolist()),
            rest=float(rest.clamp_min(1e-12 * float(variances[0]))),
        )

    def measure(self, units: Float[Tensor, "case unit"]) -> Float64[Tensor, " case"]:
        """Measure the Mahalanobis distance from the mean, per root of the number of units."""
        centred = units.double() - torch.tensor(self.mean, dtype=torch.float64)
        along = centred @ torch.tensor(self.axes, dtype=torch.float64).T
        left = centred.square().sum(dim=1) - along.square().sum(dim=1)
        inside = (along.square() / torch.tensor(self.variances, dtype=torch.float64)).sum(dim=1)
        return ((inside + left.clamp_min(0) / self.rest) / len(self.mean)).sqrt()


class WhitenedSpikiness(DrawnDetector):
    """Distance of the units from those of novel items, with their covariance."""

    sites: tuple[str, ...] = Field(min_length=1)
    """Where to look; the units of several sites are put together."""
    pooling: Pooling = "max"
    """Over space or tokens."""
    whitening: Whitening
    """Mean and covariance over novel items, fitted at this sigma."""
    sign: Literal[1, -1] = 1
    """Makes higher = more memorized."""
    residual: UnitScale | None = None
    """Mean and spread of the logarithms of distance and residual; None leaves the residual out."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        told = "log distance - log residual" if self.residual else "Mahalanobis distance of units"
        return Card(
            name="whitened_spikiness" + ("_and_residual" if self.residual else ""),
            source="ours, after Zhang et al., 2026 | arXiv 2512.20963",
            formula=told,
            evaluations=self.draws,
            direction="a memorized image excites units that do not go together; sign is measured",
        )

    def describe(self) -> dict[str, Any]:
        """Return the specification for people: covariance as its number of axes."""
        shown = self.model_dump(exclude={"whitening", "residual"})
        return shown | {"axes": len(self.whitening.axes), "residual": self.residual is not None}

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Look inside; one truncated forward a draw, a whole one with the residual."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            seen = observe_units(
                denoiser, noisy, self.sites, self.pooling, whole=bool(self.residual)
            )
            distance = self.whitening.measure(seen[:, 1:].cpu())
            if self.residual is None:
                return self.sign * distance
            logs = torch.stack([distance, seen[:, 0].cpu()], dim=1).log()
            standard = self.residual.apply(logs)
            return self.sign * standard[:, 0] - standard[:, 1]

        return measure_noisy


def observe_units(
    denoiser: Denoiser, noisy: Noisy, sites: Sequence[str], pooling: Pooling, *, whole: bool
) -> Float64[Tensor, "batch column"]:
    """Return the residual (1 where the forward is truncated), then the pooled units."""
    empty = denoiser.null_condition(len(noisy.x))
    residual = torch.ones(len(noisy.x), 1, dtype=torch.float64, device=noisy.x.device)
    with capture(denoiser, sites, pooling=pooling, stop=not whole) as tape:
        x0_hat = denoiser.denoise(noisy.x, noisy.sigma, empty)
        error = (x0_hat - noisy.x0).double().flatten(1)
        residual = error.square().mean(dim=1, keepdim=True).sqrt()
    return torch.cat([residual, join_units([tape[site] for site in sites])], dim=1)


def fit_whitened(
    denoiser: Denoiser,
    images: Float[Tensor, "case ..."],
    ids: Sequence[str],
    *,
    sites: Sequence[str],
    sigma: float,
    pooling: Pooling = "max",
    num_axes: int,
    with_residual: bool = False,
    draws: int = 4,
    batch: int = DEFAULT_BATCH,
) -> WhitenedSpikiness:
    """Fit the covariance on items that are not memorized.

    Args:
        denoiser: The model.
        images: Novel items, values in [0, 1]; on no other split are they used again.
        ids: One id an image; keys its noise.
        sites: Where to look.
        sigma: Noise level, data units.
        pooling: Over space or tokens.
        num_axes: Principal axes that have a variance of their own.
        with_residual: Add the denoising residual.
        draws: Noise draws an image, in the fit and in the detector.
        batch: Noisy images a forward.

    Raises:
        BadInputError: when there are too few items for the axes.
    """
    columns = score_draws(
        denoiser, images, ids,
        lambda noisy: observe_units(denoiser, noisy, sites, pooling, whole=with_residual),
        sigma=sigma, draws=draws, seed=0, batch=batch,
    ).flatten(0, 1)  # fmt: skip
    whitening = Whitening.fit(columns[:, 1:], num_axes=num_axes)
    logs = torch.stack([whitening.measure(columns[:, 1:]), columns[:, 0]], dim=1).log()
    return WhitenedSpikiness(
        sites=tuple(sites), sigma=sigma, pooling=pooling, whitening=whitening, draws=draws,
        residual=UnitScale.fit(logs) if with_residual else None,
    )  # fmt: skip
