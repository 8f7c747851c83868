"""The control on real images: does the detector see memory, or content?

If it sees memory, it tells planted images from held-out ones, training images that were shown
once from held-out ones not at all, and with the clean twin it tells nothing. Emoji scenes can be
asked more sharply: a planted scene whose caption is rendered again, with other nuisances, has all
of its content and none of its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from equipoise.bench.interval import Estimate, estimate_auroc
from equipoise.bench.outputs import LabelledOutputs
from equipoise.detection import Calibration, Spikiness
from equipoise.images import as_unit, content_ids
from equipoise.zoo.package import ZooModel
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene_set import SceneSet

NUM_CONTROL = 1000
RENDERED_AGAIN = 10
"""Times a planted caption is rendered again."""


@dataclass(frozen=True)
class Exhibit:
    """A zoo model, its twin and its calibration, as far as there are any."""

    model: ZooModel
    twin: ZooModel | None
    calibration: Calibration | None


@dataclass(frozen=True)
class _Arm:
    """Scores of pictures, and the training image each belongs to."""

    scores: Float64[np.ndarray, " case"]
    groups: Int64[np.ndarray, " case"]


def measure_control(exhibit: Exhibit, outputs: LabelledOutputs) -> dict[str, Estimate] | None:
    """Measure how well the detector tells pictures apart, by what the training did with them.

    Planted images and copies are those of the *report* half, on which nothing was chosen.

    Args:
        exhibit: The model, with its calibration.
        outputs: Fresh outputs of it.

    Returns:
        AUROC by comparison: against held-out images `planted`, `not_planted` and
        `planted_by_twin`; on emoji scenes also `rendered_again` (planted captions rendered
        again), and against these `planted_against_again` and `copies_against_again`. None where
        there is no calibration.
    """
    if exhibit.calibration is None:
        return None
    detector, model = exhibit.calibration.detector, exhibit.model
    images, report = model.training_set.images, _list_report(model)
    once = [i for i in range(model.recipe.num_images) if i not in model.planted][:NUM_CONTROL]

    def compare(judge: ZooModel, rows: list[int]) -> Estimate:
        held_out = judge.held_out[:NUM_CONTROL]
        negatives = _score(detector, judge, held_out, range(len(held_out)))
        return _compare(_score(detector, judge, images[rows], rows), negatives)

    found = {"planted": compare(model, report), "not_planted": compare(model, once)}
    if exhibit.twin is not None:
        found["planted_by_twin"] = compare(exhibit.twin, report)
    if isinstance(model.training_set, SceneSet):
        found |= _compare_with_again(detector, model, model.training_set, outputs)
    return found


def _compare_with_again(
    detector: Spikiness, model: ZooModel, known: SceneSet, outputs: LabelledOutputs
) -> dict[str, Estimate]:
    """Compare planted scenes and their copies with the same captions rendered again."""
    report, held_out = _list_report(model), model.held_out[:NUM_CONTROL]
    rows = np.flatnonzero(outputs.copies_of("report"))
    copied = outputs.pictures[torch.from_numpy(rows)]
    again = _score(detector, model, *render_again(known, report))
    others = _score(detector, model, held_out, range(len(held_out)))
    planted = _score(detector, model, known.images[report], report)
    copies = _score(detector, model, copied, outputs.nearest[rows].tolist())
    return {
        "rendered_again": _compare(again, others),
        "planted_against_again": _compare(planted, again),
        "copies_against_again": _compare(copies, again),
    }


def _list_report(model: ZooModel) -> list[int]:
    return [index for index in model.planted if model.split_of(index) == "report"]


def _score(
    detector: Spikiness,
    judge: ZooModel,
    pictures: UInt8[Tensor, "case ..."],
    groups: Sequence[int],
) -> _Arm:
    scores = detector.score(judge.denoiser, as_unit(pictures), content_ids(pictures)).values
    return _Arm(scores.numpy().astype(np.float64), np.array(groups, dtype=np.int64))


def _compare(positives: _Arm, negatives: _Arm) -> Estimate:
    return estimate_auroc(positives.scores, positives.groups, negatives.scores)


def render_again(
    known: SceneSet, wanted: Sequence[int]
) -> tuple[UInt8[Tensor, "picture 3 64 64"], list[int]]:
    """Render the captions of planted scenes again, `RENDERED_AGAIN` times.

    Args:
        known: The training set.
        wanted: Indices of the planted scenes; a template has several captions.

    Returns:
        The pictures, and the planted scene each belongs to.
    """
    groups = list(known.list_planted_captions().values())
    pairs = [
        (scene, group)
        for seed in range(RENDERED_AGAIN)
        for scene, group in zip(known.redraw_planted(seed=seed), groups, strict=True)
        if group in wanted
    ]
    return render_scenes([scene for scene, _ in pairs]), [group for _, group in pairs]
