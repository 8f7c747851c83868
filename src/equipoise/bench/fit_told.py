"""Fit the detector that is told what each output was asked for, on the outputs of `fit`.

It looks at the model's default sites. Noise level, scale and statistic are chosen on copies of the
selection half. Told the prompt, noise may be strong: what the picture no longer shows, the prompt
brings back.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from equipoise.bench.fit import (
    calibrate_detector,
    describe_choice,
    draw_conditions,
    name_copies,
    split_outputs,
)
from equipoise.bench.outputs import LabelledOutputs
from equipoise.detection import (
    Calibration,
    Spikiness,
    SweepCell,
    UnitScale,
    Whitening,
    choose_cell,
)
from equipoise.images import as_unit
from equipoise.representation import Statistic, select_sites
from equipoise.zoo.package import ZooModel

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
    cells = list(_sweep(model, outputs, np.concatenate([reference, selected]), len(reference)))
    planted = name_copies(outputs, selected)
    chosen = choose_cell(cells, planted)
    return calibrate_detector(
        model, chosen.detector, outputs,
        selection=describe_choice(chosen.auroc, planted, len(cells)),
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


def _sweep(
    model: ZooModel, outputs: LabelledOutputs, rows: np.ndarray, num_reference: int
) -> Iterator[SweepCell]:
    """Score the rows after the reference by everything that is tried."""
    denoiser, conditions = model.denoiser, draw_conditions(model, outputs, rows)
    images = as_unit(outputs.pictures[torch.from_numpy(rows)])
    ids = [outputs.ids[row] for row in rows]
    for share in TOLD_SHARES:
        base = Spikiness(
            sites=select_sites(denoiser, denoiser.default_sites),
            sigma=denoiser.snap(share * denoiser.data_std),
            condition="own",
        )
        units = base.observe_units(denoiser, images, ids, conditions=conditions)
        known, others = units[:num_reference], units[num_reference:]
        for detector in list_readings(base, known.flatten(0, 1)):
            scores = detector.measure_units(others.flatten(0, 1)).reshape(others.shape[:2])
            yield SweepCell(detector, scores.mean(dim=1))
