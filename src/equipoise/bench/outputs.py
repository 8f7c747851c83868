"""Fresh outputs of a zoo model, labelled by the truth: copies, grey zone, novel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.denoisers import Denoiser
from equipoise.detection import Stopwatch
from equipoise.images import content_ids, quantize
from equipoise.labels import NearestLabels
from equipoise.runs import ITEM_SCHEMA
from equipoise.zoo.package import ZooModel


@dataclass(frozen=True)
class LabelledOutputs:
    """Generated pictures with their truth, one row a picture."""

    pictures: UInt8[Tensor, "case channel height width"]
    ids: list[str]
    sources: list[str]
    truth: NearestLabels
    labels: np.ndarray
    splits: np.ndarray
    evaluations: int
    seconds: float

    @property
    def novel(self) -> Bool[np.ndarray, " case"]:
        """Which outputs are clearly novel: the negatives."""
        return self.labels == "novel"

    @property
    def grey(self) -> Bool[np.ndarray, " case"]:
        """Which outputs lie between."""
        return self.labels == "grey"

    def copies_of(self, split: str) -> Bool[np.ndarray, " case"]:
        """Which outputs copy a planted image of the given half."""
        return (self.labels == "copy") & (self.splits == split)

    @property
    def nearest(self) -> Int[np.ndarray, " case"]:
        """Index of the nearest training image."""
        return self.truth.nearest.numpy()


def generate_outputs(
    model: ZooModel, num_samples: int, *, seed: int, stream: str
) -> LabelledOutputs:
    """Sample from the weights and label what comes out.

    Args:
        model: The model; its recipe says how it is sampled.
        num_samples: Outputs to draw.
        seed: Seed of the starting noise.
        stream: Names the use ("recipe", "demo"): two uses of one seed share no noise.
    """
    watch = Stopwatch()
    sources = [f"{stream}/{seed}/{index:06d}" for index in range(num_samples)]
    pictures = decode_samples(model.denoiser, model.sample(sources, seed=seed), num_samples)
    truth = model.label(pictures)
    splits = [model.split_of(index) or "" for index in truth.nearest.tolist()]
    return LabelledOutputs(
        pictures, content_ids(pictures), sources, truth,
        np.array(truth.names()), np.array(splits),
        evaluations=num_samples * model.recipe.sampler.evaluations, seconds=watch.seconds,
    )  # fmt: skip


def decode_samples(
    denoiser: Denoiser, samples: Iterator[Float[Tensor, "batch ..."]], count: int
) -> UInt8[Tensor, "case channel height width"]:
    """Bring so many samples to 8-bit pictures while they are drawn, and show how far that is."""
    pictures = []
    with tqdm(total=count, desc="sampling", unit="image", leave=False) as progress:
        for x0 in samples:
            pictures.append(quantize(denoiser.decode(x0)))
            progress.update(len(x0))
    return torch.cat(pictures)


def count_labels(outputs: LabelledOutputs, first: int) -> dict[str, int]:
    """Count the labels of the first outputs."""
    labels = outputs.labels[:first].tolist()
    return {"n": len(labels)} | {name: labels.count(name) for name in ("copy", "grey", "novel")}


def build_unjudged(
    ids: Sequence[str], sources: Sequence[str], scores: np.ndarray | pa.Array | None
) -> dict[str, Any]:
    """Build the columns that every run has, of items that are ranked at most.

    Args:
        ids: One an item.
        sources: Where each comes from.
        scores: Higher = more memorized; None where nothing was scored.
    """
    known = {"id": ids, "source": sources, "score": scores}
    return {
        field.name: pa.nulls(len(ids), field.type)
        if known.get(field.name) is None
        else known[field.name]
        for field in ITEM_SCHEMA
    }
