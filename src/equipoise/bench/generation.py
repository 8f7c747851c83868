"""Steered outputs of a zoo model: the same noise and condition at every strength."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.denoisers import guide
from equipoise.images import quantize
from equipoise.sampling import sample_states
from equipoise.steering import ConceptVector, Guidance, Window, steer
from equipoise.zoo.package import ZooModel


@dataclass(frozen=True)
class Seeds:
    """Items by name, and the condition each is asked with; None is the empty one."""

    ids: Sequence[str]
    conditions: Shaped[Tensor, "case ..."] | None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Seeds":
        """Return some of them."""
        return Seeds(
            [self.ids[row] for row in rows],
            None if self.conditions is None else self.conditions[list(rows)],
        )


class Studio:
    """Draws steered outputs and counts what they cost."""

    def __init__(
        self,
        model: ZooModel,
        *,
        seed: int,
        steps: int,
        window: Window,
        guidance: Guidance = "both",
    ) -> None:
        self.model, self.seed, self.window = model, seed, window
        self._guidance: Guidance = guidance
        self._sampler = model.recipe.sampler.model_copy(update={"steps": steps})
        self._denoiser = guide(model.denoiser, self._sampler.guidance)
        self.evaluations = 0
        self._bar = tqdm(desc="sampling", unit="image")

    def draw_plain(self, seeds: Seeds) -> UInt8[Tensor, "case channel height width"]:
        """Draw every item unsteered."""
        rows = list(range(len(seeds)))
        return self._draw(seeds, rows, [], torch.zeros(0, len(rows)))

    def draw(
        self, seeds: Seeds, vector: ConceptVector, strengths: Sequence[float]
    ) -> UInt8[Tensor, "strength case channel height width"]:
        """Draw every item at every strength, from the item's own noise."""
        rows = list(range(len(seeds))) * len(strengths)
        level = torch.tensor(strengths, dtype=torch.float64).repeat_interleave(len(seeds))
        return self._draw(seeds, rows, [vector], level[None]).unflatten(0, (len(strengths), -1))

    def draw_each(
        self, seeds: Seeds, vectors: Sequence[ConceptVector], strength: float
    ) -> UInt8[Tensor, "vector case channel height width"]:
        """Draw every item with every vector at one strength, in common batches."""
        rows = list(range(len(seeds))) * len(vectors)
        level = strength * torch.eye(len(vectors), dtype=torch.float64)
        pictures = self._draw(seeds, rows, vectors, level.repeat_interleave(len(seeds), dim=1))
        return pictures.unflatten(0, (len(vectors), -1))

    def list_sigmas(self) -> list[float]:
        """List the noise levels of a generation, falling, the last one 0."""
        return self._sampler.list_sigmas(self._denoiser)

    def close(self) -> None:
        """End the progress bar."""
        self._bar.close()

    def _draw(
        self,
        seeds: Seeds,
        rows: Sequence[int],
        vectors: Sequence[ConceptVector],
        strengths: Float[Tensor, "vector row"],
    ) -> UInt8[Tensor, "row channel height width"]:
        parts = []
        for chosen in torch.arange(len(rows)).split(self._sampler.batch):
            items = seeds.take([rows[int(place)] for place in chosen])
            x = self._sample(items, vectors, strengths[:, chosen])
            parts.append(quantize(self._denoiser.decode(x)))
            self.evaluations += len(chosen) * self._sampler.evaluations
            self._bar.update(len(chosen))
        return torch.cat(parts)

    def _sample(
        self,
        items: Seeds,
        vectors: Sequence[ConceptVector],
        strengths: Float[Tensor, "vector row"],
    ) -> Float[Tensor, "row channel height width"]:
        denoiser = self._denoiser
        steered: AbstractContextManager[object] = nullcontext()
        if vectors:
            steered = steer(
                denoiser, vectors, strength=strengths, window=self.window, guidance=self._guidance
            )
        with steered:
            *_, last = sample_states(
                denoiser, items.ids, self.list_sigmas(),
                seed=self.seed, conditions=items.conditions, solver=self._sampler.solver,
            )  # fmt: skip
        return last.x
