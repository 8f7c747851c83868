r"""Sharpness: curvature of the log-density along the direction in which the condition pulls.

    score = mean over draws of ||H_delta s_delta||_2

with `s_delta = s_c - s_u = (D_c - D_u) / sigma^2` and `H_delta` the difference of the Hessians of
the two log-densities, `H_c - H_u = (J_c - J_u) / sigma^2` (the parts -I / sigma^2 cancel). The
published code takes the norm, the paper its square; the order of items is the same.

References:
    Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability
    Landscapes (Jeon et al., 2025) | arXiv 2412.04140
"""

from pydantic import Field
from torch import Tensor

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.derivative import push
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.start import Start, ask_twice, begin, norm_of

PASSES = 2 + 6
"""Two forwards for the direction, three passes for each of two products."""


class Sharpness(DrawnDetector):
    """Norm of the Hessian difference applied to the score difference."""

    start: Start = "noise"
    """Pure noise, as published, or the noisy image."""
    draws: int = Field(default=1, ge=1)
    """Noise draws an image."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="sharpness" + ("_at_image" if self.start == "image" else ""),
            source="Jeon et al., 2025 | arXiv 2412.04140",
            formula="||(H_c - H_u)(s_c - s_u)||_2",
            needs=("condition", "gradient"),
            evaluations=PASSES * self.draws,
            direction="the density of a memorized condition is sharply curved",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Multiply the score difference with the Hessian difference."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            x = begin(noisy, self.start)
            square = per_sample(noisy.sigma, x) ** 2
            s_delta = ask_twice(denoiser, x, noisy.sigma, noisy.cond).gap / square
            products = [
                push(lambda z, cond=cond: denoiser.denoise(z, noisy.sigma, cond), x, s_delta)
                for cond in (noisy.cond, denoiser.null_condition(len(x)))
            ]
            return norm_of((products[0] - products[1]) / square)

        return measure_noisy
