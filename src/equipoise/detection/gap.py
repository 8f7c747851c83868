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

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws
from equipoise.detection.start import GUIDANCE, Start, ask_twice, begin, norm_of
from equipoise.sampling import build_sigmas

SIGMA_MIN = 0.02
RHO = 7.0


class NoiseGap(BaseModel):
    """Norm of the difference between conditional and unconditional noise predictions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level it starts from, data units."""
    start: Start = "noise"
    """Pure noise, as published, or the noisy image."""
    steps: int = Field(default=1, ge=1)
    """Steps of the guided path from there; 1 looks at the start only."""
    guidance: float = GUIDANCE
    """Guidance along the path; one step does not use it."""
    draws: int = Field(default=4, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""

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

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1] and their conditions; two forwards a step.

        Raises:
            BadInputError: without one condition an image, or on a model that takes none.
        """
        watch = Stopwatch()
        given = require_conditions(self.card, denoiser, conditions, len(ids))
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

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=levels[0], draws=self.draws, seed=self.seed, conditions=given, batch=batch,
        )  # fmt: skip
        return Scores(
            per_draw, evaluations=len(ids) * self.card.evaluations, seconds=watch.seconds
        )

    def _list_levels(self, denoiser: Denoiser) -> list[float]:
        if self.steps == 1:
            return [self.sigma]
        low = min(SIGMA_MIN, self.sigma / 2)
        wanted = build_sigmas(self.steps, sigma_min=low, sigma_max=self.sigma, rho=RHO)
        return [denoiser.snap(sigma) for sigma in wanted[:-1]]
