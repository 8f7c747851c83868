"""Trivial baselines: a detector that does not beat them has shown nothing.

- pixel variance, total variation, JPEG size, distance to the mean picture: the image alone;
- the denoising residual `||D(x0 + sigma eps) - x0||`: the output of the model, nothing inside.

Sign, and the residual's sigma, are chosen on the selection split like the detector's.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from jaxtyping import Float, Float64, Shaped, UInt8
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection import (
    DEFAULT_BATCH,
    Card,
    DrawnDetector,
    Measure,
    Noisy,
    Scores,
    Stopwatch,
)
from equipoise.images import jpeg_size, pixel_variance, quantize, total_variation


class DenoisingResidual(DrawnDetector):
    """Root mean square of `D(x0 + sigma eps) - x0`; memorized images leave a small one."""

    sign: Literal[1, -1] = -1
    """Makes higher = more memorized."""

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

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Denoise without a condition; one whole forward a draw."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            empty = denoiser.null_condition(len(noisy.x0))
            error = denoiser.denoise(noisy.x, noisy.sigma, empty) - noisy.x0
            return self.sign * error.double().flatten(1).square().mean(dim=1).sqrt()

        return measure_noisy


PictureStatistic = Literal["pixel_variance", "total_variation", "jpeg_size", "distance_to_mean"]
PICTURE_STATISTICS: tuple[PictureStatistic, ...] = get_args(PictureStatistic)


class PictureBaseline(BaseModel):
    """A statistic of the picture alone; the model is not asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statistic: PictureStatistic
    """Which one."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name=self.statistic,
            source="ours, a trivial baseline",
            formula=f"{self.statistic.replace('_', ' ')} of the 8-bit picture",
            evaluations=0,
            direction="none: the picture alone cannot know",
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
        """Score images with values in [0, 1]; neither the model nor a condition is read."""
        watch = Stopwatch()
        values = _STATISTICS[self.statistic](quantize(images))
        return Scores(values[:, None], evaluations=0, seconds=watch.seconds)


def score_pictures(
    pictures: UInt8[Tensor, "case channel height width"],
) -> dict[str, Float64[Tensor, " case"]]:
    """Score pictures by every baseline that sees the image alone, before a sign was chosen."""
    return {name: formula(pictures) for name, formula in _STATISTICS.items()}


def _distance_to_mean(pictures: UInt8[Tensor, "case ..."]) -> Float64[Tensor, " case"]:
    """Distance to the mean of the pictures at hand, in units of white."""
    unit = pictures.double() / 255
    return (unit - unit.mean(dim=0)).flatten(1).norm(dim=1)


_STATISTICS: dict[PictureStatistic, Callable[[Tensor], Tensor]] = {
    "pixel_variance": lambda pictures: pixel_variance(pictures).double(),
    "total_variation": lambda pictures: total_variation(pictures).double(),
    "jpeg_size": lambda pictures: jpeg_size(pictures).double(),
    "distance_to_mean": _distance_to_mean,
}
