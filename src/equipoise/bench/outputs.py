"""Fresh outputs of a zoo model, labelled by the truth: copies, grey zone, novel."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.detection import Stopwatch
from equipoise.images import content_ids, quantize
from equipoise.labels import NearestLabels
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
    batches = []
    with tqdm(total=num_samples, desc="sampling", unit="image", leave=False) as progress:
        for x0 in model.sample(sources, seed=seed):
            batches.append(quantize(model.denoiser.decode(x0)))
            progress.update(len(x0))
    pictures = torch.cat(batches)
    truth = model.label(pictures)
    splits = [model.split_of(index) or "" for index in truth.nearest.tolist()]
    return LabelledOutputs(
        pictures, content_ids(pictures), sources, truth,
        np.array(truth.names()), np.array(splits),
        evaluations=num_samples * model.recipe.sampler.evaluations, seconds=watch.seconds,
    )  # fmt: skip


def count_labels(outputs: LabelledOutputs, first: int) -> dict[str, int]:
    """Count the labels of the first outputs."""
    labels = outputs.labels[:first].tolist()
    return {"n": len(labels)} | {name: labels.count(name) for name in ("copy", "grey", "novel")}
