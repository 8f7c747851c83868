r"""Local intrinsic dimension by FLIPD: around a memorized image the model leaves no directions.

    LID(x0) ~= d + sigma^2 (tr grad s(x0, sigma) + ||s(x0, sigma)||^2)

(FLIPD, Kamkari et al. 2024, in the convention x = x0 + sigma eps; a variance-preserving schedule
gives the same number). With `s = (D - x) / sigma^2` the dimension d cancels:

    LID(x0) ~= tr J(x0) + ||D(x0, sigma) - x0||^2 / sigma^2,        score = -LID

looked at without noise and with the empty condition. The trace is Hutchinson's mean of `v^T J v`
over random signs v, one backward pass each. Simple images have a low dimension too, memorized or
not: that is the known confounder.

References:
    A Geometric View of Data Complexity: Efficient Local Intrinsic Dimension Estimation with
    Diffusion Models (Kamkari et al., 2024) | arXiv 2406.03537
    A Geometric Framework for Understanding Memorization in Generative Models (Ross et al., 2025)
    | arXiv 2411.00113
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.derivative import pull
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws


class IntrinsicDimension(BaseModel):
    """Minus the local intrinsic dimension that the model gives an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level, data units: the scale at which dimension is asked for."""
    draws: int = Field(default=4, ge=1)
    """Random sign vectors an image, for the trace."""
    seed: int = 0
    """Seed of the sign vectors."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="intrinsic_dimension",
            source="Kamkari et al., 2024; Ross et al., 2025 | arXiv 2406.03537, 2411.00113",
            formula="-(tr J(x0) + ||D(x0) - x0||^2 / sigma^2)",
            needs=("gradient",),
            evaluations=2 * self.draws,
            direction="a memorized image has no dimension around it",
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
        """Score images with values in [0, 1]; a forward and a backward a draw, no condition."""
        watch = Stopwatch()

        def measure_noisy(noisy: Noisy) -> Tensor:
            empty = denoiser.null_condition(len(noisy.x0))
            signs = torch.where(noisy.eps >= 0, 1.0, -1.0).to(noisy.x0)
            x0_hat, pulled = pull(
                lambda x: denoiser.denoise(x, noisy.sigma, empty), noisy.x0, signs
            )
            trace = (signs * pulled).double().flatten(1).sum(dim=1)
            moved = (x0_hat - noisy.x0).double().flatten(1).square().sum(dim=1)
            return -(trace + moved / noisy.sigma.double() ** 2)

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=self.sigma, draws=self.draws, seed=self.seed, batch=batch,
        )  # fmt: skip
        return Scores(
            per_draw, evaluations=len(ids) * self.card.evaluations, seconds=watch.seconds
        )
