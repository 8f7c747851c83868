r"""Spikiness: how unevenly the units of an inner representation answer a slightly noisy image.

    score = sign * mean over draws of statistic(scale(pool(h(x0 + sigma eps))))

with the empty condition; `h` are the units of one site, or of several sites together. A denoiser
that memorized an image answers with few units (spiky), one that generalized with many (balanced).

The paper's recipe is one site, `pooling="max"`, `statistic="std"`, `sign=1`, one draw, no scale.
With a `scale` every unit is first centred and divided by its own spread over novel items, so that
units which rarely answer count as much as loud ones, and sites can be put together.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Sec. 4.1, Alg. 1 | arXiv 2512.20963
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.draws import (
    DEFAULT_BATCH,
    Noisy,
    Precision,
    Scores,
    Stopwatch,
    score_draws,
    score_sample_draws,
)
from equipoise.errors import BadInputError
from equipoise.representation import Pooling, Statistic, measure, observe, select_sites

DEFAULT_SIGMA_SHARE = 0.2  # of the standard deviation of the data
DEFAULT_DRAWS = 4


class UnitScale(BaseModel):
    """Mean and standard deviation of every unit over items that are not memorized."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...]
    """Mean of each unit."""
    std: tuple[float, ...]
    """Standard deviation of each unit; 1 where a unit never changes."""

    @classmethod
    def fit(cls, units: Float[Tensor, "case unit"]) -> "UnitScale":
        """Measure the scale on the units of novel items."""
        std = units.double().std(dim=0, correction=0)
        safe = torch.where(std > 0, std, torch.ones_like(std))
        return cls(mean=tuple(units.double().mean(dim=0).tolist()), std=tuple(safe.tolist()))

    def apply(self, units: Float[Tensor, "case unit"]) -> Float[Tensor, "case unit"]:
        """Centre and divide every unit.

        Raises:
            BadInputError: when the number of units is another one.
        """
        if units.shape[1] != len(self.mean):
            raise BadInputError(
                f"The scale was measured on {len(self.mean)} units, the sites given have "
                f"{units.shape[1]}. Use the sites and the pooling it was measured with."
            )
        mean, std = units.new_tensor(self.mean), units.new_tensor(self.std)
        return (units - mean) / std


class Spikiness(BaseModel):
    """How unevenly units answer a noisy image; a frozen specification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sites: tuple[str, ...] = Field(min_length=1)
    """Where to look, see `equipoise.sites`; the units of several sites are put together."""
    sigma: float = Field(gt=0)
    """Noise level, data units."""
    pooling: Pooling = "max"
    """Over space or tokens."""
    statistic: Statistic = "std"
    """Over units."""
    sign: Literal[1, -1] = 1
    """Makes higher = more memorized; flips between sites and noise levels, so it is measured."""
    scale: UnitScale | None = None
    """Spread of the units over novel items; None leaves the units as they are."""
    draws: int = Field(default=DEFAULT_DRAWS, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""
    precision: Precision = "float32"
    """Arithmetic of the network's matrix products."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="spikiness",
            source="Zhang et al., 2026 | arXiv 2512.20963",
            formula=f"{self.statistic}(pool(h(x0 + sigma eps)))",
            evaluations=self.draws,
            direction="a memorized image excites few units strongly; the sign is measured",
        )

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1]; one truncated forward a draw, no condition read.

        Raises:
            UnknownSiteError: when the model has no such site.
            BadInputError, NonFiniteError: when an image cannot be scored.
        """
        watch = Stopwatch()
        per_draw = score_draws(
            denoiser, images, ids, self._measurer(denoiser),
            sigma=self.sigma, draws=self.draws, seed=self.seed,
            precision=self.precision, batch=batch,
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)

    def score_samples(
        self, denoiser: Denoiser, x0: Float[Tensor, "case ..."], ids: Sequence[str]
    ) -> Scores:
        """Score clean samples `x0` of the model, which then need not be encoded."""
        watch = Stopwatch()
        per_draw = score_sample_draws(
            x0, ids, self._measurer(denoiser),
            sigma=self.sigma, draws=self.draws, seed=self.seed, precision=self.precision,
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)

    def measure_units(self, units: Float[Tensor, "case unit"]) -> Float[Tensor, " case"]:
        """Turn the units of each item into its score."""
        scaled = self.scale.apply(units) if self.scale else units
        return self.sign * measure(scaled, self.statistic)

    def _measurer(self, denoiser: Denoiser) -> Callable[[Noisy], Tensor]:
        def measure_noisy(noisy: Noisy) -> Tensor:
            seen = observe(denoiser, noisy.x, noisy.sigma, self.sites, pooling=self.pooling)
            return self.measure_units(join_units([seen[site].tensor for site in self.sites]))

        return measure_noisy

    def describe(self) -> dict[str, Any]:
        """Return the specification for people: the scale as its number of units."""
        shown = self.model_dump(exclude={"scale"})
        return shown | {"scaled_units": len(self.scale.mean) if self.scale else 0}


def join_units(tensors: Sequence[Float[Tensor, "case ..."]]) -> Float[Tensor, "case unit"]:
    """Put the units of several sites side by side, in float64."""
    return torch.cat([tensor.flatten(1).double() for tensor in tensors], dim=1)


def build_default(denoiser: Denoiser) -> Spikiness:
    """Build the paper's statistic at the model's first default site.

    Sigma is 0.2 times the standard deviation of the data: an uncalibrated default, whose scores
    only rank.
    """
    site = select_sites(denoiser, denoiser.default_sites)[0]
    return Spikiness(sites=(site,), sigma=denoiser.snap(DEFAULT_SIGMA_SHARE * denoiser.data_std))
