"""The items of a comparison: four arms, and the splits in which detectors are chosen.

- choose: copies of the *selection* half of the planted images and novel outputs. Sigma and sign of
  every detector are chosen here.
- calibrate: further novel outputs of the same stream. They set each detector's own threshold.
- report: copies of the *report* half and novel outputs, from another stream of noise.
- training: training images that were not planted; held_out: images that the model never saw.

The grey zone is left out. Items come in the order of their seeded streams, so the first n are a
seeded subsample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

from equipoise.bench.outputs import LabelledOutputs, generate_outputs
from equipoise.errors import CalibrationError
from equipoise.images import content_ids
from equipoise.zoo.package import ZooModel

NUM_CHOOSE = 200
"""Novel outputs on which detectors are chosen; what remains of their stream calibrates."""
NUM_REAL = 300
"""Images of each arm of real ones."""
MIN_CALIBRATE = 99
"""Fewer cannot set a threshold for one percent."""


@dataclass(frozen=True)
class Items:
    """Pictures with what a detector may know of them, and the planted image each copies, or -1."""

    pictures: UInt8[Tensor, "case channel height width"]
    ids: list[str]
    conditions: Shaped[Tensor, "case ..."] | None
    planted: Int64[np.ndarray, " case"]

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, rows: Int64[np.ndarray, " row"]) -> "Items":
        """Return some of the items."""
        at = torch.from_numpy(rows)
        conditions = None if self.conditions is None else self.conditions[at]
        ids = [self.ids[row] for row in rows]
        return Items(self.pictures[at], ids, conditions, self.planted[rows])

    def find_first(self, limit: int) -> Int64[np.ndarray, " row"]:
        """Return the rows of the first copies and of the first others, at most `limit` of each."""
        copies, others = np.flatnonzero(self.planted >= 0), np.flatnonzero(self.planted < 0)
        return np.concatenate([copies[:limit], others[:limit]])


@dataclass(frozen=True)
class Stage:
    """Everything detectors are compared on, for one model."""

    choose: Items
    calibrate: Items
    report: Items
    training: Items
    held_out: Items
    evaluations: int
    seconds: float


def build_stage(model: ZooModel, *, seed: int, num_samples: int) -> Stage:
    """Draw two streams of outputs, label them and deal them out; take the real images besides.

    Args:
        model: The model.
        seed: Seed of the outputs; shares no noise with the recipe's or the demo's.
        num_samples: Outputs of each stream.

    Raises:
        CalibrationError: when a split lacks copies or novel outputs.
    """
    first = generate_outputs(model, num_samples, seed=seed, stream="bench-selection")
    second = generate_outputs(model, num_samples, seed=seed, stream="bench-report")
    chosen_on, told = _find_copies(first, "selection"), _find_copies(second, "report")
    novel, others = np.flatnonzero(first.novel), np.flatnonzero(second.novel)
    _check_sizes(len(chosen_on), len(told), len(novel) - NUM_CHOOSE, len(others))
    outputs = [_build_items(model, part, seed) for part in (first, second)]
    training, held_out = _take_real(model, seed)
    return Stage(
        choose=outputs[0].pick(np.concatenate([chosen_on, novel[:NUM_CHOOSE]])),
        calibrate=outputs[0].pick(novel[NUM_CHOOSE:]),
        report=outputs[1].pick(np.concatenate([told, others])),
        training=training,
        held_out=held_out,
        evaluations=first.evaluations + second.evaluations,
        seconds=first.seconds + second.seconds,
    )


def _find_copies(outputs: LabelledOutputs, split: str) -> np.ndarray:
    return np.flatnonzero(outputs.copies_of(split))


def _build_items(model: ZooModel, outputs: LabelledOutputs, seed: int) -> Items:
    conditions = model.draw_conditions(outputs.sources, seed=seed)
    is_copy = (outputs.labels == "copy") & (outputs.splits != "")
    planted = np.where(is_copy, outputs.nearest, -1)
    return Items(outputs.pictures, outputs.ids, conditions, planted)


def _take_real(model: ZooModel, seed: int) -> tuple[Items, Items]:
    """Draw training images that were not planted, and held-out images, by the seed."""
    generator = np.random.default_rng(seed)
    plain = np.setdiff1d(np.arange(model.recipe.num_images), list(model.planted))
    chosen = torch.from_numpy(generator.permutation(plain)[:NUM_REAL])
    held_out = torch.from_numpy(generator.permutation(len(model.held_out))[:NUM_REAL])
    return (
        _build_real(model.training_set.images[chosen], model.list_conditions(chosen)),
        _build_real(model.held_out[held_out], None),
    )


def _build_real(pictures: Tensor, conditions: Tensor | None) -> Items:
    return Items(pictures, content_ids(pictures), conditions, np.full(len(pictures), -1))


def _check_sizes(*sizes: int) -> None:
    wanted: Sequence[int] = (2, 2, MIN_CALIBRATE, MIN_CALIBRATE)
    if any(size < least for size, least in zip(sizes, wanted, strict=True)):
        copies, told, calibrate, novel = (max(size, 0) for size in sizes)
        raise CalibrationError(
            f"Too few outputs to compare detectors: {copies} copies to choose on, {told} to "
            f"report on, {calibrate} novel outputs to calibrate, {novel} to report on; at least "
            f"{', '.join(map(str, wanted))} are needed. Draw more with --num-samples."
        )
