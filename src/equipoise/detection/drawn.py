"""The frame of detectors that measure noisy samples one by one: the same call, errors and costs.

A detector says what it is (`card`) and what it measures (`build_measure`); the noise level, the
number of draws and the seed are fields of all of them. A score is the mean over draws, unless a
detector puts its draws together otherwise.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from jaxtyping import Float, Float64, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws

Measure = Callable[[Noisy], Float[Tensor, "batch ..."]]
"""Gives every noisy sample a value, or what its draws are compared by."""


class DrawnDetector(BaseModel, ABC):
    """A detector that adds noise of one level to every image and measures what the model says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(gt=0)
    """Noise level, data units."""
    draws: int = Field(default=4, ge=1)
    """Noise draws an image."""
    seed: int = 0
    """Seed of the noise."""

    @property
    @abstractmethod
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""

    @abstractmethod
    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Return what measures a batch of noisy samples.

        Raises:
            BadInputError: when the model has not what the detector looks at.
        """

    def combine(self, values: Float64[Tensor, "case draw ..."]) -> Float64[Tensor, "case column"]:
        """Put the draws of each item together; by default every draw stands for itself."""
        return values

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1].

        Args:
            denoiser: The model.
            images: Values in [0, 1], in the shape the model encodes.
            ids: One id an image; keys its noise.
            conditions: One an image; read where the card needs "condition".
            batch: Noisy images a forward; does not change the scores.

        Raises:
            BadInputError: when the model has not what the card needs, or a condition is missing.
            NonFiniteError: when an image holds NaN or infinity.
        """
        watch = Stopwatch()
        given = require_conditions(self.card, denoiser, conditions, len(ids))
        values = score_draws(
            denoiser, images, ids, self.build_measure(denoiser),
            sigma=self.sigma, draws=self.draws, seed=self.seed, conditions=given, batch=batch,
        )  # fmt: skip
        evaluations = len(ids) * self.card.evaluations
        return Scores(self.combine(values), evaluations=evaluations, seconds=watch.seconds)
