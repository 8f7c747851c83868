r"""Spikiness: how unevenly the units of an inner representation answer a slightly noisy image.

    score = sign * mean over draws of statistic(pool(h_site(x0 + sigma eps)))

with the empty condition. A denoiser that memorized an image answers with few units (spiky), one
that generalized with many (balanced). The paper's recipe is `statistic="std"`, `pooling="max"`,
`sign=1`, one draw.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Sec. 4.1, Alg. 1 | arXiv 2512.20963
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import (
    DEFAULT_BATCH,
    Precision,
    Scores,
    Stopwatch,
    score_draws,
)
from equipoise.representation import Pooling, Statistic, measure, observe, select_sites

DEFAULT_SIGMA_SHARE = 0.2  # of the standard deviation of the data
DEFAULT_DRAWS = 4


class Detector(Protocol):
    """Evidence to score: one number an image, higher = more memorized."""

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1]; `ids` key the noise."""
        ...


class Spikiness(BaseModel):
    """The detector's specification; frozen, stored in every calibration and run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    """Where to look, see `equipoise.sites`."""
    sigma: float = Field(gt=0)
    """Noise level, data units."""
    pooling: Pooling = "max"
    """Over space or tokens."""
    statistic: Statistic = "std"
    """Over units."""
    sign: Literal[1, -1] = 1
    """Makes higher = more memorized; flips between sites and noise levels, so it is measured."""
    draws: int = Field(default=DEFAULT_DRAWS, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""
    precision: Precision = "float32"
    """Arithmetic of the network's matrix products."""

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1]; one truncated forward a draw.

        Raises:
            UnknownSiteError: when the model has no such site.
            BadInputError, NonFiniteError: when an image cannot be scored.
        """
        watch = Stopwatch()

        def measure_noisy(x: Tensor, _: Tensor, sigma: Tensor) -> Tensor:
            seen = observe(denoiser, x, sigma, [self.site], pooling=self.pooling)
            return self.sign * measure(seen[self.site].tensor, self.statistic)

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed,
            precision=self.precision, batch=batch,
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)


def build_default(denoiser: Denoiser) -> Spikiness:
    """Build the paper's statistic at the model's first default site.

    Sigma is 0.2 times the standard deviation of the data: an uncalibrated default, whose scores
    only rank.
    """
    site = select_sites(denoiser, denoiser.default_sites)[0]
    return Spikiness(site=site, sigma=DEFAULT_SIGMA_SHARE * denoiser.data_std)
