"""Judge: detectors, sweeps, calibrations, verdicts."""

from equipoise.detection.anisotropy import Anisotropy
from equipoise.detection.attention import AttentionEntropy
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
from equipoise.detection.card import Card, Detector, find_obstacle
from equipoise.detection.confidence import OneStepConfidence
from equipoise.detection.dimension import IntrinsicDimension
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import (
    DEFAULT_BATCH,
    Noisy,
    Precision,
    Scores,
    Stopwatch,
    score_draws,
)
from equipoise.detection.gain import ResidualGain
from equipoise.detection.gap import NoiseGap
from equipoise.detection.heatmap import Heat, has_places, measure_heat
from equipoise.detection.look import Look
from equipoise.detection.precision import Trial, try_precisions
from equipoise.detection.preset import PRESETS, Preset, build_preset
from equipoise.detection.scale import Scale, UnitScale, Whitening
from equipoise.detection.sensitivity import KnownCopies, Sensitivity, measure_sensitivity
from equipoise.detection.sharpness import Sharpness
from equipoise.detection.similarity import OneStepSimilarity
from equipoise.detection.spikiness import (
    DEFAULT_DRAWS,
    Spikiness,
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
from equipoise.detection.tiling import TiledDistance

__all__ = [
    "DEFAULT_BATCH",
    "DEFAULT_DRAWS",
    "PRESETS",
    "Anisotropy",
    "AttentionEntropy",
    "Calibration",
    "Card",
    "ChosenCell",
    "Detector",
    "DrawnDetector",
    "Heat",
    "IntrinsicDimension",
    "Judgement",
    "KnownCopies",
    "Look",
    "Measure",
    "Mode",
    "NoiseGap",
    "Noisy",
    "Null",
    "OneStepConfidence",
    "OneStepSimilarity",
    "Precision",
    "Preset",
    "ResidualGain",
    "Scale",
    "Scores",
    "Sensitivity",
    "Sharpness",
    "Spikiness",
    "Stopwatch",
    "SweepCell",
    "TiledDistance",
    "Trial",
    "UnitScale",
    "Verdict",
    "Whitening",
    "build_default",
    "build_preset",
    "calibrate_scores",
    "choose_cell",
    "find_obstacle",
    "has_places",
    "join_units",
    "judge",
    "load_calibration",
    "measure_heat",
    "measure_sensitivity",
    "q_values",
    "score_draws",
    "sweep_cells",
    "try_precisions",
    "weighted_auroc",
]
