r"""Sharpness: curvature of the log-density along the direction in which the condition pulls.

    score = mean over draws of ||H_delta s_delta||_2

with `s_delta = s_c - s_u = (D_c - D_u) / sigma^2` and `H_delta` the difference of the Hessians of
the two log-densities, `H_c - H_u = (J_c - J_u) / sigma^2` (the parts -I / sigma^2 cancel). The
published code takes the norm, the paper its square; the order of items is the same.

References:
    Understanding and Mitigating Memorization in Generative Models via Sharpness of Probability
    Landscapes (Jeon et al., 2025) | arXiv 2412.04140
"""

from collections.abc import Sequence

from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.derivative import push
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws
from equipoise.detection.start import Start, ask_twice, begin, norm_of

PASSES = 2 + 6
"""Two forwards for the direction, three passes for each of two products."""


class Sharpness(BaseModel):
    """Norm of the Hessian difference applied to the score difference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level, data units."""
    start: Start = "noise"
    """Pure noise, as published, or the noisy image."""
    draws: int = Field(default=1, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""

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

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1] and their conditions.

        Raises:
            BadInputError: without one condition an image, or on a model that takes none.
        """
        watch = Stopwatch()
        given = require_conditions(self.card, denoiser, conditions, len(ids))

        def measure_noisy(noisy: Noisy) -> Tensor:
            x = begin(noisy, self.start)
            square = per_sample(noisy.sigma, x) ** 2
            s_delta = ask_twice(denoiser, x, noisy.sigma, noisy.cond).gap / square
            products = [
                push(lambda z, cond=cond: denoiser.denoise(z, noisy.sigma, cond), x, s_delta)
                for cond in (noisy.cond, denoiser.null_condition(len(x)))
            ]
            return norm_of((products[0] - products[1]) / square)

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed, conditions=given, batch=batch,
        )  # fmt: skip
        return Scores(
            per_draw, evaluations=len(ids) * self.card.evaluations, seconds=watch.seconds
        )
