r"""One-step confidence: how far one guided step from pure noise gets.

    score = mean over draws of mean((z - D_guided(z, sigma))^2),        z = sigma eps

A single step of Euler or Heun from the largest noise level to zero lands on the guided estimate
`D_u + w (D_c - D_u)`. With a memorized prompt it is a finished picture already.

References:
    A Reproducible Extraction of Training Images from Diffusion Models (Webster, 2023)
    | arXiv 2305.08694
"""

from collections.abc import Sequence

from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws
from equipoise.detection.start import GUIDANCE, ask_twice


class OneStepConfidence(BaseModel):
    """Mean squared distance from pure noise to the estimate after one guided step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level of the start, data units."""
    guidance: float = GUIDANCE
    """Weight of classifier-free guidance."""
    draws: int = Field(default=4, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""

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

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score the conditions of images; two forwards a draw.

        Raises:
            BadInputError: without one condition an image, or on a model that takes none.
        """
        watch = Stopwatch()
        given = require_conditions(self.card, denoiser, conditions, len(ids))

        def measure_noisy(noisy: Noisy) -> Tensor:
            z = noisy.noise
            estimate = ask_twice(denoiser, z, noisy.sigma, noisy.cond).guide(self.guidance)
            return (z.double() - estimate.double()).flatten(1).square().mean(dim=1)

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed, conditions=given, batch=batch,
        )  # fmt: skip
        return Scores(
            per_draw, evaluations=len(ids) * self.card.evaluations, seconds=watch.seconds
        )
