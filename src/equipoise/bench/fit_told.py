"""Fit the detector that is told what each output was asked for, on the outputs of `fit`.

It looks at the model's default sites. Noise level, scale and statistic are chosen on copies of the
selection half, against novel outputs and against planted captions rendered again: told a prompt,
a detector may know the prompt alone, most of all where noise hides the picture, and then it calls
any picture of that prompt a copy.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from equipoise.bench.control import render_again
from equipoise.bench.fit import (
    calibrate_detector,
    describe_choice,
    draw_conditions,
    name_copies,
    split_outputs,
)
from equipoise.bench.outputs import LabelledOutputs
from equipoise.bench.stage import Items
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    Calibration,
    Spikiness,
    SweepCell,
    UnitScale,
    Whitening,
    choose_cell,
)
from equipoise.images import as_unit, content_ids
from equipoise.representation import Statistic, select_sites
from equipoise.zoo.package import ZooModel
from equipoise.zoo.scene_set import SceneSet

TOLD_SHARES = (0.2, 0.4, 0.8, 1.6, 3.2, 8.0)
"""Noise levels, of the standard deviation of the data."""
STATISTICS: tuple[Statistic, ...] = ("std", "l2", "hoyer")
"""Of units that are scaled one by one."""
AXES = (16, 64)
"""Principal axes of units that are whitened, whose statistic is `l2`."""


def fit_told(model: ZooModel, outputs: LabelledOutputs) -> Calibration:
    """Choose the detector that is told the condition, and calibrate it.

    Args:
        model: A model that takes conditions.
        outputs: The outputs of its recipe, see `draw_outputs`.
    """
    reference, selected, _ = split_outputs(outputs)
    known, shown = (take_items(model, outputs, rows) for rows in (reference, selected))
    control = render_control(model)
    cells = list(_sweep(model.denoiser, known, [shown, *control]))
    planted, again = name_copies(outputs, selected), sum(map(len, control))
    chosen = choose_cell(cells, torch.cat([planted, planted.new_full((again,), -1)]))
    return calibrate_detector(
        model, chosen.detector, outputs,
        selection=describe_choice(chosen.auroc, planted, len(cells)) | {"rendered_again": again},
    )  # fmt: skip


def list_readings(base: Spikiness, units: Float64[Tensor, "case unit"]) -> Iterator[Spikiness]:
    """List the scales and statistics that are tried.

    Args:
        base: Where to look.
        units: Those of novel items, as `base` observes them.
    """
    for statistic in STATISTICS:
        yield base.model_copy(update={"scale": UnitScale.fit(units), "statistic": statistic})
    for num_axes in AXES:
        whitening = Whitening.fit(units, num_axes=num_axes)
        yield base.model_copy(update={"scale": whitening, "statistic": "l2"})


def take_items(model: ZooModel, outputs: LabelledOutputs, rows: np.ndarray) -> Items:
    """Take some outputs with what they were asked for."""
    return Items(
        outputs.pictures[torch.from_numpy(rows)],
        [outputs.ids[row] for row in rows],
        draw_conditions(model, outputs, rows),
        np.full(len(rows), -1),
    )


def render_control(model: ZooModel) -> list[Items]:
    """Render the planted captions of the selection half again; nothing where there are none."""
    if not isinstance(model.training_set, SceneSet):
        return []
    chosen = [index for index in model.planted if model.split_of(index) == "selection"]
    pictures, _, prompts = render_again(model.training_set, chosen)
    conditions = model.encode_prompts(prompts)
    return [
        Items(pictures, content_ids(pictures), conditions, np.full(len(pictures), -1), prompts)
    ]


def _sweep(denoiser: Denoiser, known: Items, shown: Sequence[Items]) -> Iterator[SweepCell]:
    """Score what is shown by everything that is tried, scaled by what is known to be novel."""
    for share in TOLD_SHARES:
        base = Spikiness(
            sites=select_sites(denoiser, denoiser.default_sites),
            sigma=denoiser.snap(share * denoiser.data_std),
            condition="own",
        )
        novel, *others = (
            base.observe_units(denoiser, as_unit(one.pictures), one.ids, conditions=one.conditions)
            for one in (known, *shown)
        )
        units = torch.cat(others)
        for detector in list_readings(base, novel.flatten(0, 1)):
            scores = detector.measure_units(units.flatten(0, 1)).reshape(units.shape[:2])
            yield SweepCell(detector, scores.mean(dim=1))
