"""The control on real images: does the detector see memory, or content?

If it sees memory, it tells planted images from held-out ones, training images that were shown
once from held-out ones not at all, and with the clean twin it tells nothing. Emoji scenes can be
asked more sharply: a planted scene whose caption is rendered again, with other nuisances, has all
of its content and none of its memory. A detector that is told captions is told that of each scene.
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
    """That which judges its outputs in the demo."""


@dataclass(frozen=True)
class _Arm:
    """Scores of pictures, and the training image each belongs to."""

    scores: Float64[np.ndarray, " case"]
    groups: Int64[np.ndarray, " case"]


def measure_control(
    exhibit: Exhibit, outputs: LabelledOutputs, *, seed: int
) -> dict[str, Estimate] | None:
    """Measure how well the detector tells pictures apart, by what the training did with them.

    Planted images and copies are those of the *report* half, on which nothing was chosen.

    Args:
        exhibit: The model, with its calibration.
        outputs: Fresh outputs of it.
        seed: The seed they were drawn with.

    Returns:
        AUROC by comparison: against held-out images `planted`, `not_planted` and
        `planted_by_twin`; on emoji scenes also `rendered_again` (planted captions rendered
        again), and against these `planted_against_again` and, where there are copies,
        `copies_against_again`. None where there is no calibration.
    """
    if exhibit.calibration is None:
        return None
    detector, model = exhibit.calibration.detector, exhibit.model
    images, report = model.training_set.images, _list_report(model)
    once = [i for i in range(model.recipe.num_images) if i not in model.planted][:NUM_CONTROL]

    def compare(judge: ZooModel, rows: list[int]) -> Estimate:
        prompts = model.list_prompts(torch.tensor(rows))
        seen = _score(detector, judge, images[rows], rows, prompts)
        return _compare(seen, _score_held_out(detector, judge))

    found = {"planted": compare(model, report), "not_planted": compare(model, once)}
    if exhibit.twin is not None:
        found["planted_by_twin"] = compare(exhibit.twin, report)
    if isinstance(model.training_set, SceneSet):
        found |= _compare_with_again(detector, model, model.training_set, outputs, seed)
    return found


def _compare_with_again(
    detector: Spikiness, model: ZooModel, known: SceneSet, outputs: LabelledOutputs, seed: int
) -> dict[str, Estimate]:
    """Compare planted scenes and their copies with the same captions rendered again."""
    report = _list_report(model)
    again = _score(detector, model, *render_again(known, report))
    shown = model.list_prompts(torch.tensor(report))
    planted = _score(detector, model, known.images[report], report, shown)
    found = {
        "rendered_again": _compare(again, _score_held_out(detector, model)),
        "planted_against_again": _compare(planted, again),
    }
    rows = np.flatnonzero(outputs.copies_of("report"))
    if len(rows):
        copied = outputs.pictures[torch.from_numpy(rows)]
        asked = model.draw_prompts([outputs.sources[row] for row in rows], seed=seed)
        copies = _score(detector, model, copied, outputs.nearest[rows].tolist(), asked)
        found["copies_against_again"] = _compare(copies, again)
    return found


def _list_report(model: ZooModel) -> list[int]:
    return [index for index in model.planted if model.split_of(index) == "report"]


def _score(
    detector: Spikiness,
    judge: ZooModel,
    pictures: UInt8[Tensor, "case ..."],
    groups: Sequence[int],
    prompts: Sequence[str] | None,
) -> _Arm:
    told = prompts if detector.condition == "own" else None
    conditions = judge.encode_prompts(told) if told else None
    scores = detector.score(
        judge.denoiser, as_unit(pictures), content_ids(pictures), conditions=conditions
    ).values
    return _Arm(scores.numpy().astype(np.float64), np.array(groups, dtype=np.int64))


def _score_held_out(detector: Spikiness, judge: ZooModel) -> _Arm:
    pictures = judge.held_out[:NUM_CONTROL]
    rows = range(len(pictures))
    prompts = judge.list_prompts(torch.tensor(rows), held_out=True)
    return _score(detector, judge, pictures, rows, prompts)


def _compare(positives: _Arm, negatives: _Arm) -> Estimate:
    return estimate_auroc(positives.scores, positives.groups, negatives.scores)


def render_again(
    known: SceneSet, wanted: Sequence[int]
) -> tuple[UInt8[Tensor, "picture 3 64 64"], list[int], list[str]]:
    """Render the captions of planted scenes again, `RENDERED_AGAIN` times.

    Args:
        known: The training set.
        wanted: Indices of the planted scenes; a template has several captions.

    Returns:
        The pictures, the planted scene each belongs to, and its caption.
    """
    captions = known.list_planted_captions().items()
    rows = [
        (scene, group, caption)
        for seed in range(RENDERED_AGAIN)
        for scene, (caption, group) in zip(known.redraw_planted(seed=seed), captions, strict=True)
        if group in wanted
    ]
    scenes, groups, prompts = (list(column) for column in zip(*rows, strict=True))
    return render_scenes(scenes), groups, prompts
