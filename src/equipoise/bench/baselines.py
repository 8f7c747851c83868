"""Trivial baselines: a detector that does not beat them has shown nothing.

- pixel variance, total variation, JPEG size, distance to the mean picture: the image alone;
- the denoising residual `||D(x0 + sigma eps) - x0||`: the output of the model, nothing inside.

Sign, and the residual's sigma, are chosen on the selection split like the detector's.
"""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float, Float64, Shaped, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection import (
    DEFAULT_BATCH,
    DEFAULT_DRAWS,
    Card,
    Noisy,
    Scores,
    Stopwatch,
    score_draws,
)
from equipoise.images import jpeg_size, pixel_variance, total_variation


class DenoisingResidual(BaseModel):
    """Root mean square of `D(x0 + sigma eps) - x0`; memorized images leave a small one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level, data units."""
    sign: Literal[1, -1] = -1
    """Makes higher = more memorized."""
    draws: int = Field(default=DEFAULT_DRAWS, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="denoising_residual",
            source="ours, the baseline every table has",
            formula="-rms(D(x0 + sigma eps) - x0)",
            evaluations=self.draws,
            direction="a memorized image comes back from its noise",
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
        """Score images with values in [0, 1]; one whole forward a draw, no condition read."""
        watch = Stopwatch()

        def measure_noisy(noisy: Noisy) -> Tensor:
            empty = denoiser.null_condition(len(noisy.x0))
            error = denoiser.denoise(noisy.x, noisy.sigma, empty) - noisy.x0
            return self.sign * error.double().flatten(1).square().mean(dim=1).sqrt()

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed, batch=batch,
        )  # fmt: skip
        return Scores(per_draw, evaluations=len(ids) * self.draws, seconds=watch.seconds)


def score_pictures(
    pictures: UInt8[Tensor, "case channel height width"],
) -> dict[str, Float64[Tensor, " case"]]:
    """Score pictures by every baseline that sees the image alone, before a sign was chosen."""
    unit = pictures.double() / 255
    to_mean = (unit - unit.mean(dim=0)).flatten(1).norm(dim=1)
    return {
        "pixel_variance": pixel_variance(pictures),
        "total_variation": total_variation(pictures),
        "jpeg_size": jpeg_size(pictures),
        "distance_to_mean": to_mean,
    }
