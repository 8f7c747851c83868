r"""Spikiness: how unevenly the units of an inner representation answer a slightly noisy image.

    score = sign * mean over draws of statistic(scale(pool(h(x0 + sigma eps; c))))

`h` are the units of one site, or of several sites together; `c` is the empty condition. A denoiser
that memorized an image answers with few units (spiky), one that generalized with many (balanced).

The paper's recipe is one site, `pooling="max"`, `statistic="std"`, `sign=1`, one draw, no scale.
With a `scale` every unit is first centred and divided by its own spread over novel items, so that
units which rarely answer count as much as loud ones, and sites can be put together; or all are
whitened by their covariance, and `statistic="l2"` is their Mahalanobis distance.

The empty condition serves pictures of which nothing else is known. Who drew a picture knows its
prompt, and a text-to-image model remembers by prompt: with `condition="own"` the model is told it.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Sec. 4.1, Alg. 1 | arXiv 2512.20963
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.draws import (
    DEFAULT_BATCH,
    Noisy,
    Precision,
    Scores,
    Stopwatch,
    score_draws,
    score_sample_draws,
)
from equipoise.detection.scale import Scale, Whitening
from equipoise.representation import Pooling, Statistic, measure, observe, select_sites

DEFAULT_SIGMA_SHARE = 0.2  # of the standard deviation of the data
TOLD_SIGMA_SHARE = 1.6  # the prompt brings back what stronger noise hides
DEFAULT_DRAWS = 4


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
    scale: Scale | None = None
    """Spread or covariance of the units over novel items; None leaves the units as they are."""
    condition: Literal["empty", "own"] = "empty"
    """What the model is told: nothing, or what each item was asked for."""
    draws: int = Field(default=DEFAULT_DRAWS, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""
    precision: Precision = "float32"
    """Arithmetic of the network's matrix products."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        told = self.condition == "own"
        return Card(
            name="told_spikiness" if told else "spikiness",
            source="Zhang et al., 2026 | arXiv 2512.20963",
            formula=f"{self.statistic}(pool(h(x0 + sigma eps{'; c' if told else ''})))",
            evaluations=self.draws,
            direction="a memorized image excites few units strongly; the sign is measured",
            needs=("condition",) if told else (),
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
        """Score images with values in [0, 1]; one truncated forward a draw.

        Args:
            denoiser: The model.
            images: Values in [0, 1], in the shape the model encodes.
            ids: One id an image; keys its noise.
            conditions: One an image; read with `condition="own"` alone.
            batch: Noisy images a forward; does not change the scores.

        Raises:
            UnknownSiteError: when the model has no such site.
            BadInputError, NonFiniteError: when an image cannot be scored.
        """
        watch = Stopwatch()
        per_draw = self._draw(
            denoiser, images, ids, conditions, batch,
            lambda noisy: self.measure_units(self._observe(denoiser, noisy)),
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)

    def score_samples(
        self, denoiser: Denoiser, x0: Float[Tensor, "case ..."], ids: Sequence[str]
    ) -> Scores:
        """Score clean samples `x0` of the model, which then need not be encoded, told nothing.

        Raises:
            BadInputError: with `condition="own"`.
        """
        watch = Stopwatch()
        require_conditions(self.card, denoiser, None, len(ids))
        per_draw = score_sample_draws(
            x0, ids, lambda noisy: self.measure_units(self._observe(denoiser, noisy)),
            sigma=self.sigma, draws=self.draws, seed=self.seed, precision=self.precision,
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)

    def observe_units(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Float64[Tensor, "case draw unit"]:
        """Return the units that the score is made of, pooled but not scaled; as `score`."""
        return self._draw(
            denoiser, images, ids, conditions, batch, lambda noisy: self._observe(denoiser, noisy)
        )

    def measure_units(self, units: Float[Tensor, "case unit"]) -> Float[Tensor, " case"]:
        """Turn the units of each item into its score."""
        scaled = self.scale.apply(units) if self.scale else units
        return self.sign * measure(scaled, self.statistic)

    def _draw(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        conditions: Shaped[Tensor, "case ..."] | None,
        batch: int,
        measure_noisy: Callable[[Noisy], Tensor],
    ) -> Float64[Tensor, "case draw ..."]:
        return score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed, precision=self.precision,
            conditions=require_conditions(self.card, denoiser, conditions, len(ids)), batch=batch,
        )  # fmt: skip

    def _observe(self, denoiser: Denoiser, noisy: Noisy) -> Float64[Tensor, "batch unit"]:
        seen = observe(
            denoiser, noisy.x, noisy.sigma, self.sites, pooling=self.pooling, cond=noisy.cond
        )
        return join_units([seen[site].tensor for site in self.sites])

    def describe(self) -> dict[str, Any]:
        """Return the specification for people: the scale as its number of units.

        What the model is told is said where it is told anything; so audits that began before there
        was such a choice go on.
        """
        hidden = {"scale"} if self.condition == "own" else {"scale", "condition"}
        shown = self.model_dump(exclude=hidden)
        axes = {"axes": len(self.scale.axes)} if isinstance(self.scale, Whitening) else {}
        return shown | {"scaled_units": len(self.scale.mean) if self.scale else 0} | axes


def join_units(tensors: Sequence[Float[Tensor, "case ..."]]) -> Float[Tensor, "case unit"]:
    """Put the units of several sites side by side, in float64."""
    return torch.cat([tensor.flatten(1).double() for tensor in tensors], dim=1)


def build_default(denoiser: Denoiser, *, told: bool = False) -> Spikiness:
    """Build the paper's statistic: an uncalibrated default, whose scores only rank.

    Told nothing it looks at the model's first default site, with a sigma of 0.2 times the standard
    deviation of the data; told the condition at all default sites together, with 1.6 times.
    """
    sites = select_sites(denoiser, denoiser.default_sites)
    share = TOLD_SIGMA_SHARE if told else DEFAULT_SIGMA_SHARE
    return Spikiness(
        sites=sites if told else sites[:1],
        sigma=denoiser.snap(share * denoiser.data_std),
        condition="own" if told else "empty",
    )
