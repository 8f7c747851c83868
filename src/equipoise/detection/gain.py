r"""Residual gain: how much better a model knows a picture once it is told what it was asked for.

    score = mean over draws of log ||D_u - x0|| - log ||D_c - x0||,  D_c = D(x0 + sigma eps; c)

Both answers see the same noisy picture, so what makes a picture hard cancels. Any prompt tells
something of its picture; that of a memorized one tells what no words say. Under noise so strong
that little of the picture is left, the gain is all that was remembered by prompt.

Zhai et al. take the difference of the squared errors, at many noise levels, for membership; the
logarithm of their ratio does not grow with the errors, and tells copies far better on
`zoo:sd-emoji` (docs/told.md).

References:
    Membership Inference on Text-to-Image Diffusion Models via Conditional Likelihood Discrepancy
    (Zhai et al., 2024) | arXiv 2405.14800
"""

from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.start import ask_twice, norm_of


class ResidualGain(DrawnDetector):
    """Logarithm of the denoising residual told nothing, less that told the condition."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="residual_gain",
            source="ours, after Zhai et al., 2024 | arXiv 2405.14800",
            formula="log ||D_u - x0|| - log ||D_c - x0||",
            needs=("condition",),
            evaluations=2 * self.draws,
            direction="the condition of a memorized image tells what it cannot say",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Denoise twice; two whole forwards a draw."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            answers = ask_twice(denoiser, noisy.x, noisy.sigma, noisy.cond)
            told, untold = answers.with_condition - noisy.x0, answers.without - noisy.x0
            return norm_of(untold).log() - norm_of(told).log()

        return measure_noisy
