r"""One-step confidence: how far one guided step from pure noise gets.

    score = mean over draws of mean((z - D_guided(z, sigma))^2),        z = sigma eps

A single step of Euler or Heun from the largest noise level to zero lands on the guided estimate
`D_u + w (D_c - D_u)`. With a memorized prompt it is a finished picture already.

References:
    A Reproducible Extraction of Training Images from Diffusion Models (Webster, 2023)
    | arXiv 2305.08694
"""

from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.start import GUIDANCE, ask_twice


class OneStepConfidence(DrawnDetector):
    """Mean squared distance from pure noise to the estimate after one guided step."""

    guidance: float = GUIDANCE
    """Weight of classifier-free guidance."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="one_step_confidence",
            source="Webster, 2023 | arXiv 2305.08694",
            formula="mean((z - D_guided(z))^2), z = sigma eps",
            needs=("condition",),
            evaluations=2 * self.draws,
            direction="one step with a memorized prompt goes all the way",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Take one guided step from pure noise; two forwards a draw."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            z = noisy.noise
            estimate = ask_twice(denoiser, z, noisy.sigma, noisy.cond).guide(self.guidance)
            return (z.double() - estimate.double()).flatten(1).square().mean(dim=1)

        return measure_noisy
