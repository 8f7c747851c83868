"""Spikiness of the representation of a model that is told what the picture was asked to show.

The paper's detector gives the empty condition, so that it can judge pictures of which nothing else
is known. Whoever drew a picture knows its prompt, and a text-to-image model remembers by prompt.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.spikiness import Spikiness, UnitScale, join_units
from equipoise.representation import Pooling, Statistic, observe


class ConditionedSpikiness(DrawnDetector):
    """How unevenly units answer a noisy image and its own condition; a frozen specification."""

    sites: tuple[str, ...] = Field(min_length=1)
    """Where to look; the units of several sites are put together."""
    pooling: Pooling = "max"
    """Over space or tokens."""
    statistic: Statistic = "std"
    """Over units."""
    sign: Literal[1, -1] = 1
    """Makes higher = more memorized."""
    scale: UnitScale | None = None
    """Spread of the units over novel items with their conditions; None leaves them as they are."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="conditioned_spikiness",
            source="ours, after Zhang et al., 2026 | arXiv 2512.20963",
            formula=f"{self.statistic}(pool(h(x0 + sigma eps; c)))",
            evaluations=self.draws,
            direction="a memorized image excites few units strongly, most so for its own prompt",
            needs=("condition",),
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Look into one truncated forward a draw."""
        plain = Spikiness(
            sites=self.sites, sigma=self.sigma, pooling=self.pooling, statistic=self.statistic,
            sign=self.sign, scale=self.scale,
        )  # fmt: skip

        def measure_noisy(noisy: Noisy) -> Tensor:
            seen = observe(
                denoiser, noisy.x, noisy.sigma, self.sites, pooling=self.pooling, cond=noisy.cond
            )
            return plain.measure_units(join_units([seen[site].tensor for site in self.sites]))

        return measure_noisy
