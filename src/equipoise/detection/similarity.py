r"""One-step similarity: a memorized prompt leads to one picture from any noise.

    delta = e_c(x_T) - eps = -D_c(x_T) / sigma,        x_T = sigma eps
    score = max over pairs of noise draws of MS-SSIM(delta_i, delta_j)

with every channel of delta brought to [0, 1] by its own minimum and maximum. The multi-scale
structural similarity has a Gaussian window of 11 (standard deviation 1.5) and three scales of
equal weight, or as many as keep the side at 11 or more: small samples have one.

References:
    Finding NeMo: Localizing Neurons Responsible For Memorization in Diffusion Models
    (Hintersdorf et al., 2024) | arXiv 2406.02366
    Multiscale structural similarity for image quality assessment (Wang et al., 2003)
"""

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.pair import compare_all_pairs
from equipoise.errors import BadInputError

WINDOW = 11
WINDOW_STD = 1.5
SCALES = 3
K1, K2 = 0.01, 0.03


class OneStepSimilarity(DrawnDetector):
    """Largest similarity between one-step predictions from different noise."""

    draws: int = Field(default=10, ge=2)
    """Noise draws an image, all of which are compared."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="one_step_similarity",
            source="Hintersdorf et al., 2024 | arXiv 2406.02366",
            formula="max over draws i, j of MS-SSIM(e_c - eps)",
            needs=("condition",),
            evaluations=self.draws,
            direction="a memorized condition leads to one picture from any noise",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Predict the picture from pure noise; a forward a draw.

        Raises:
            BadInputError: when the samples are no pictures of 11 x 11 or more.
        """
        _check_side(denoiser.sample_shape)

        def measure_noisy(noisy: Noisy) -> Tensor:
            x0_hat = denoiser.denoise(noisy.noise, noisy.sigma, noisy.cond)
            return _stretch(-x0_hat.double())

        return measure_noisy

    def combine(
        self, values: Float64[Tensor, "case draw channel height width"]
    ) -> Float64[Tensor, "case column"]:
        """Compare the draws of each item; one score from all of them."""
        return compare_all_pairs(values, measure_similarity).amax(dim=1, keepdim=True)


def measure_similarity(
    a: Float64[Tensor, "case channel height width"],
    b: Float64[Tensor, "case channel height width"],
) -> Float64[Tensor, " case"]:
    """Measure the multi-scale structural similarity of pictures in [0, 1]; 1 means equal."""
    scales = [s for s in range(SCALES) if min(a.shape[-2:]) >> s >= WINDOW]
    product = a.new_ones(len(a))
    for scale in scales:
        luminance, contrast = _compare_windows(a, b)
        seen = luminance * contrast if scale == scales[-1] else contrast
        product = product * seen.flatten(1).mean(dim=1).clamp_min(0) ** (1 / len(scales))
        a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
    return product


def _compare_windows(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return luminance and contrast-structure of every window that lies inside."""
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + K1**2) / (mean_a**2 + mean_b**2 + K1**2)
    return luminance, (2 * covariance + K2**2) / (var_a + var_b + K2**2)


def _blur(x: Tensor) -> Tensor:
    at = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    line = torch.exp(-(at**2) / (2 * WINDOW_STD**2))
    line = (line / line.sum()).expand(x.shape[1], 1, 1, WINDOW)
    rows = functional.conv2d(x, line, groups=x.shape[1])
    return functional.conv2d(rows, line.transpose(2, 3), groups=x.shape[1])


def _stretch(x: Tensor) -> Tensor:
    """Bring every channel of every sample to [0, 1]; a channel that is flat becomes 0."""
    low = x.amin(dim=(2, 3), keepdim=True)
    spread = x.amax(dim=(2, 3), keepdim=True) - low
    return (x - low) / torch.where(spread > 0, spread, torch.ones_like(spread))


def _check_side(sample_shape: tuple[int, ...]) -> None:
    if len(sample_shape) != 3 or min(sample_shape[1:]) < WINDOW:
        raise BadInputError(
            f"Samples of shape {sample_shape} cannot be compared by structural similarity: "
            f"pictures of {WINDOW} x {WINDOW} or more are needed. Use another detector."
        )
