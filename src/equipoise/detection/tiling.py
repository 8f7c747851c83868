r"""Tiled distance between several generations: a memorized prompt makes the same picture again.

    score = -min over pairs of generations of max over tiles of rms(tile_i - tile_j)

The largest distance over tiles keeps two pictures with one large flat background from counting as
near. The paper calls a prompt extracted when ten of 500 generations form a clique of near
pictures; the smallest distance is the level at which the first clique, one of two, appears.

References:
    Extracting Training Data from Diffusion Models (Carlini et al., 2023), Sec. 4.2
    | arXiv 2301.13188
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Shaped
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equipoise.denoisers.guidance import guide
from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, require_conditions
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, Scores, Stopwatch, score_draws
from equipoise.detection.pair import compare_all_pairs
from equipoise.sampling import SamplerSpec


class TiledDistance(BaseModel):
    """Minus the smallest tiled distance between generations of one condition."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampler: SamplerSpec = SamplerSpec()
    """How pictures are generated with the condition."""
    tiles: int = Field(default=4, ge=1)
    """Tiles along each side."""
    draws: int = Field(default=4, ge=2)
    """Generations an image."""
    seed: int = 0
    """Seed of the noise."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="tiled_distance",
            source="Carlini et al., 2023 | arXiv 2301.13188",
            formula="-min over pairs of generations of max over tiles of rms",
            needs=("condition", "generations"),
            evaluations=self.draws * self.sampler.evaluations,
            direction="a memorized condition makes the same picture again",
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
        """Score the conditions of images; `draws` whole generations an image.

        Raises:
            BadInputError: without one condition an image, or on a model that takes none.
        """
        watch = Stopwatch()
        given = require_conditions(self.card, denoiser, conditions, len(ids))
        levels = self.sampler.list_sigmas(denoiser)
        guided = guide(denoiser, self.sampler.guidance)

        def measure_noisy(noisy: Noisy) -> Tensor:
            *_, last = self.sampler.solver(guided, noisy.eps, levels, cond=noisy.cond)
            return denoiser.decode(last.x)

        pictures = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=levels[0], draws=self.draws, seed=self.seed, conditions=given, batch=batch,
        )  # fmt: skip
        distances = compare_all_pairs(pictures, self._measure_distance)
        nearest = distances.amin(dim=1, keepdim=True)
        return Scores(
            -nearest, evaluations=len(ids) * self.card.evaluations, seconds=watch.seconds
        )

    def _measure_distance(
        self,
        a: Float64[Tensor, "case channel height width"],
        b: Float64[Tensor, "case channel height width"],
    ) -> Float64[Tensor, " case"]:
        square = (a - b).square().mean(dim=1)
        strips = torch.tensor_split(square, self.tiles, dim=1)
        tiles = [tile for strip in strips for tile in torch.tensor_split(strip, self.tiles, dim=2)]
        means = [tile.mean(dim=(1, 2)) for tile in tiles if tile.numel()]
        return torch.stack(means, dim=1).amax(dim=1).sqrt()
