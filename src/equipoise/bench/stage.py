"""The items of a comparison: four arms, and the splits in which detectors are chosen.

- choose: copies of the *selection* half of the planted images and novel outputs. Sigma and sign of
  every detector are chosen here.
- calibrate: further novel outputs of the same stream. They set each detector's own threshold.
- report: copies of the *report* half and novel outputs, from another stream of noise.
- arms of real images: *training*, images that were not planted; *held_out*, images that the model
  never saw.

The grey zone is left out. Items come in the order of their seeded streams, so the first n are a
seeded subsample.
"""

from collections.abc import Mapping, Sequence
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
    """Pictures with what a detector may know of them, and the planted image each copies, or -1.

    Conditions and prompts are None where the model takes none, or they are not known.
    """

    pictures: UInt8[Tensor, "case channel height width"]
    ids: list[str]
    conditions: Shaped[Tensor, "case ..."] | None
    planted: Int64[np.ndarray, " case"]
    prompts: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, rows: Int64[np.ndarray, " row"]) -> "Items":
        """Return some of the items."""
        at = torch.from_numpy(rows)
        conditions = None if self.conditions is None else self.conditions[at]
        ids = [self.ids[row] for row in rows]
        prompts = None if self.prompts is None else [self.prompts[row] for row in rows]
        return Items(self.pictures[at], ids, conditions, self.planted[rows], prompts)

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
    arms: Mapping[str, Items]
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
    sizes = (len(chosen_on), len(told), len(novel) - NUM_CHOOSE, len(others))
    check_sizes(*sizes, remedy="Draw more with --num-samples.")
    outputs = [build_items(model, part, seed=seed) for part in (first, second)]
    return Stage(
        choose=outputs[0].pick(np.concatenate([chosen_on, novel[:NUM_CHOOSE]])),
        calibrate=outputs[0].pick(novel[NUM_CHOOSE:]),
        report=outputs[1].pick(np.concatenate([told, others])),
        arms=take_real(model, seed),
        evaluations=first.evaluations + second.evaluations,
        seconds=first.seconds + second.seconds,
    )


def _find_copies(outputs: LabelledOutputs, split: str) -> np.ndarray:
    return np.flatnonzero(outputs.copies_of(split))


def build_items(model: ZooModel, outputs: LabelledOutputs, *, seed: int) -> Items:
    """Put labelled outputs together with what each was asked for.

    Args:
        model: What made them.
        outputs: The outputs.
        seed: The seed they were drawn with.
    """
    conditions = model.draw_conditions(outputs.sources, seed=seed)
    is_copy = (outputs.labels == "copy") & (outputs.splits != "")
    planted = np.where(is_copy, outputs.nearest, -1)
    prompts = model.draw_prompts(outputs.sources, seed=seed)
    return Items(outputs.pictures, outputs.ids, conditions, planted, prompts)


def build_training_stage(model: ZooModel) -> Stage:
    """Tell planted training images from held-out ones: what a model that copies nothing yet shows.

    Choose and report have the planted images of their half; a fifth of the held-out images
    chooses, two fifths set thresholds and two fifths report. Conditions are left out, since those
    of held-out images are not known everywhere.
    """
    fifth = len(model.held_out) // 5
    others = model.held_out.split([fifth, 2 * fifth, len(model.held_out) - 3 * fifth])

    def build(half: str, negatives: Tensor) -> Items:
        planted = [index for index in model.planted if model.split_of(index) == half]
        pictures = torch.cat([model.training_set.images[planted], negatives])
        copied = np.array([*planted, *[-1] * len(negatives)])
        return Items(pictures, content_ids(pictures), None, copied)

    return Stage(
        choose=build("selection", others[0]),
        calibrate=_build_real(others[1], None, None),
        report=build("report", others[2]),
        arms={},
        evaluations=0,
        seconds=0.0,
    )


def take_real(model: ZooModel, seed: int) -> dict[str, Items]:
    """Draw training images that were not planted, and held-out images, by the seed."""
    generator = np.random.default_rng(seed)
    plain = np.setdiff1d(np.arange(model.recipe.num_images), list(model.planted))
    chosen = torch.from_numpy(generator.permutation(plain)[:NUM_REAL])
    held_out = torch.from_numpy(generator.permutation(len(model.held_out))[:NUM_REAL])
    prompts = model.list_prompts(held_out, held_out=True)
    return {
        "training": _build_real(
            model.training_set.images[chosen],
            model.list_conditions(chosen),
            model.list_prompts(chosen),
        ),
        "held_out": _build_real(
            model.held_out[held_out],
            None if prompts is None else model.encode_prompts(prompts),
            prompts,
        ),
    }


def _build_real(pictures: Tensor, conditions: Tensor | None, prompts: list[str] | None) -> Items:
    planted = np.full(len(pictures), -1)
    return Items(pictures, content_ids(pictures), conditions, planted, prompts)


def check_sizes(copies: int, told: int, calibrate: int, novel: int, *, remedy: str) -> None:
    """Refuse splits that are too small.

    Raises:
        CalibrationError: when a split lacks copies or novel outputs; ends with the remedy.
    """
    wanted: Sequence[int] = (2, 2, MIN_CALIBRATE, MIN_CALIBRATE)
    sizes = [max(size, 0) for size in (copies, told, calibrate, novel)]
    if any(size < least for size, least in zip(sizes, wanted, strict=True)):
        raise CalibrationError(
            f"Too few outputs to compare detectors: {sizes[0]} copies to choose on, {sizes[1]} to "
            f"report on, {sizes[2]} novel outputs to calibrate, {sizes[3]} to report on; at least "
            f"{', '.join(map(str, wanted))} are needed. {remedy}"
        )
