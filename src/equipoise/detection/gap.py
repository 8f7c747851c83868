r"""Noise-prediction gap: how much the condition changes what the model takes for noise.

    score = mean over draws and steps of ||e_c - e_u||_2 = ||D_c - D_u||_2 / sigma

at the same noisy sample. A memorized prompt steers hard, from the first step of sampling on. One
step looks at the start; more follow the guided path down to sigma = 0 (Euler's method, levels
spaced as in Karras et al.; the paper steps with DDIM, which is the same method, over 50 times).

From pure noise the score knows the condition and nothing of the image. `start="image"` looks at
the noisy image instead: not in the paper, and the only reading that can tell two images of one
condition apart.

References:
    Detecting, Explaining, and Mitigating Memorization in Diffusion Models (Wen et al., 2024)
    | arXiv 2407.21720
"""

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.start import GUIDANCE, Start, ask_twice, begin, norm_of
from equipoise.sampling import build_sigmas

SIGMA_MIN = 0.02
RHO = 7.0


class NoiseGap(DrawnDetector):
    """Norm of the difference between conditional and unconditional noise predictions."""

    start: Start = "noise"
    """Pure noise, as published, or the noisy image."""
    steps: int = Field(default=1, ge=1)
    """Steps of the guided path from there; 1 looks at the start only."""
    guidance: float = GUIDANCE
    """Guidance along the path; one step does not use it."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        name = "noise_gap" + ("_at_image" if self.start == "image" else "")
        return Card(
            name=name if self.steps == 1 else f"{name}_{self.steps}_steps",
            source="Wen et al., 2024 | arXiv 2407.21720",
            formula="||e_c - e_u||_2",
            needs=("condition",),
            evaluations=2 * self.steps * self.draws,
            direction="a memorized condition changes the prediction much",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Follow the guided path; two forwards a step."""
        levels = self._list_levels(denoiser)

        def measure_noisy(noisy: Noisy) -> Tensor:
            x = begin(noisy, self.start)
            norms = []
            for sigma, sigma_next in pairwise([*levels, 0.0]):
                answers = ask_twice(denoiser, x, x.new_full((len(x),), sigma), noisy.cond)
                norms.append(norm_of(answers.gap) / sigma)
                slope = (x - answers.guide(self.guidance)) / sigma
                x = x + (sigma_next - sigma) * slope
            return torch.stack(norms, dim=1).mean(dim=1)

        return measure_noisy

    def _list_levels(self, denoiser: Denoiser) -> list[float]:
        if self.steps == 1:
            return [self.sigma]
        low = min(SIGMA_MIN, self.sigma / 2)
        wanted = build_sigmas(self.steps, sigma_min=low, sigma_max=self.sigma, rho=RHO)
        return [denoiser.snap(sigma) for sigma in wanted[:-1]]
