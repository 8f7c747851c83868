"""Judge: detectors, sweeps, calibrations, verdicts."""

from equipoise.detection.calibration import (
    Calibration,
    Judgement,
    Mode,
    Null,
    Verdict,
    calibrate_scores,
    judge,
    load_calibration,
    q_values,
)
from equipoise.detection.draws import DEFAULT_BATCH, Precision, Scores, Stopwatch, score_draws
from equipoise.detection.look import Look
from equipoise.detection.preset import PRESETS, Preset, build_preset
from equipoise.detection.sensitivity import KnownCopies, Sensitivity, measure_sensitivity
from equipoise.detection.spikiness import (
    DEFAULT_DRAWS,
    Detector,
    Spikiness,
    UnitScale,
    build_default,
    join_units,
)
from equipoise.detection.sweep import (
    ChosenCell,
    SweepCell,
    choose_cell,
    sweep_cells,
    weighted_auroc,
)

__all__ = [
    "DEFAULT_BATCH",
    "DEFAULT_DRAWS",
    "PRESETS",
    "Calibration",
    "ChosenCell",
    "Detector",
    "Judgement",
    "KnownCopies",
    "Look",
    "Mode",
    "Null",
    "Precision",
    "Preset",
    "Scores",
    "Sensitivity",
    "Spikiness",
    "Stopwatch",
    "SweepCell",
    "UnitScale",
    "Verdict",
    "build_default",
    "build_preset",
    "calibrate_scores",
    "choose_cell",
    "join_units",
    "judge",
    "load_calibration",
    "measure_sensitivity",
    "q_values",
    "score_draws",
    "sweep_cells",
    "weighted_auroc",
]
