"""From scores and truth to the figures of a run, each with its interval.

Positives are copies of planted images that neither the choice of the detector nor the calibration
has seen; negatives are the clearly novel outputs. Copies of selection images are left out.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.bench.interval import (
    Estimate,
    estimate_auroc,
    estimate_difference,
    estimate_sensitivity,
    exact_rate,
)
from equipoise.bench.outputs import LabelledOutputs
from equipoise.detection import Calibration

TWIN_MARGIN = 0.25
ROC_GRID = np.unique(np.concatenate([np.geomspace(0.001, 0.1, 16), np.linspace(0.1, 1, 10)]))


@dataclass(frozen=True)
class Evidence:
    """Scores of the same outputs by everything that is compared, higher = more memorized."""

    outputs: LabelledOutputs
    scores: np.ndarray
    compared: np.ndarray
    """What the twin, the paper's statistic and the residual have scored; the others are NaN."""
    twin: np.ndarray
    paper: np.ndarray
    told_nothing: np.ndarray | None
    """Spikiness told nothing, beside one that is told the prompt; None where that judges."""
    baselines: dict[str, np.ndarray]
    verdicts: np.ndarray

    @property
    def positive(self) -> np.ndarray:
        """Copies of the report half of the planted images."""
        return self.outputs.copies_of("report")

    @property
    def shared_novel(self) -> np.ndarray:
        """Novel outputs that everything compared has scored."""
        return self.outputs.novel & self.compared

    def area(self, column: np.ndarray, *, negative: np.ndarray | None = None) -> Estimate:
        """AUROC of one score, copies of report images against the negatives."""
        others = (self.outputs.novel if negative is None else negative) & ~np.isnan(column)
        return estimate_auroc(column[self.positive], self.groups, column[others])

    @property
    def groups(self) -> np.ndarray:
        """The planted image of every positive."""
        return self.outputs.nearest[self.positive]


def evaluate(evidence: Evidence, calibration: Calibration) -> dict[str, Any]:
    """Compute every figure of the demo's document."""
    outputs = evidence.outputs
    twin = evidence.area(evidence.twin)
    difference = _twin_difference(evidence)
    with_grey = outputs.novel | outputs.grey
    return {
        "auroc": evidence.area(evidence.scores),
        "tpr_at_1pct_fpr": _true_positives(evidence, calibration),
        "fpr": _false_positives(evidence, calibration),
        "clean_twin_auroc": twin,
        "planted_minus_twin": difference,
        "partly_content": is_partly_content(twin, difference),
        "told_nothing": None
        if evidence.told_nothing is None
        else evidence.area(evidence.told_nothing),
        "paper_statistic": evidence.area(evidence.paper),
        "baselines": {name: evidence.area(s) for name, s in evidence.baselines.items()},
        "tpr_at_same_fpr": _compare_sensitivities(evidence, calibration.promised),
        "oracle": evidence.area(-outputs.truth.ratio.double().numpy()),
        "with_grey_as_negative": {
            "auroc": evidence.area(evidence.scores, negative=with_grey),
            "fpr": _rate(evidence, with_grey),
        },
        "labels": _count_labels(evidence),
        "verdicts": dict(Counter(evidence.verdicts.tolist())),
        "roc": _roc(evidence),
        "calibration": {
            "threshold": calibration.threshold,
            "promised": calibration.promised,
            "n": calibration.n,
            "null": calibration.null,
        },
    }


def is_partly_content(twin: Estimate, difference: Estimate) -> bool:
    """Say whether the score may see what a picture shows rather than that it was memorized.

    It may not when chance lies inside the twin's interval, or when the planted model beats the
    twin on the same pictures by at least 0.25.
    """
    low, high, margin = twin["low"], twin["high"], difference["low"]
    if low is None or high is None or margin is None:
        return True
    return not (low <= 0.5 <= high or margin >= TWIN_MARGIN)


def _twin_difference(evidence: Evidence) -> Estimate:
    positive, novel = evidence.positive, evidence.shared_novel
    scores, twin = evidence.scores, evidence.twin
    return estimate_difference(
        scores[positive], scores[novel], twin[positive], twin[novel], evidence.groups
    )


def _true_positives(evidence: Evidence, calibration: Calibration) -> Estimate:
    """Share of copies at or above the calibrated threshold."""
    return estimate_sensitivity(
        evidence.scores[evidence.positive],
        evidence.groups,
        np.array(calibration.scores),
        allowed_above=calibration.allowed_above,
    )


def _compare_sensitivities(evidence: Evidence, fpr: float) -> dict[str, Estimate]:
    """Share of copies found by the detector and its two rivals at one false-positive rate.

    The threshold of each is set on the novel outputs at hand, which no detector can do in use:
    the figures compare, they promise nothing.
    """
    novel = evidence.shared_novel
    columns = {
        "spikiness": evidence.scores,
        "told_nothing": evidence.told_nothing,
        "paper_statistic": evidence.paper,
        "denoising_residual": evidence.baselines["denoising_residual"],
    }
    return {
        name: estimate_sensitivity(
            column[evidence.positive],
            evidence.groups,
            column[novel],
            allowed_above=int(fpr * novel.sum()),
        )
        for name, column in columns.items()
        if column is not None
    }


def _false_positives(evidence: Evidence, calibration: Calibration) -> dict[str, Any]:
    """Measure the share of novel outputs that are flagged, and whether the promise was kept."""
    rate = _rate(evidence, evidence.outputs.novel)
    allowed = calibration.allowed_false_positives(int(rate["n"] or 0))
    hits = int(((evidence.verdicts == "memorized") & evidence.outputs.novel).sum())
    return rate | {
        "promised": calibration.promised,
        "n_calibration": calibration.n,
        "interval_kind": "exact binomial (Clopper-Pearson), 95 %",
        "false_positives": hits,
        "allowed": list(allowed),
        "kept": allowed[0] <= hits <= allowed[1],
    }


def _rate(evidence: Evidence, negative: np.ndarray) -> Estimate:
    flagged = (evidence.verdicts == "memorized") & negative
    return exact_rate(int(flagged.sum()), int(negative.sum()))


def _count_labels(evidence: Evidence) -> dict[str, int]:
    outputs = evidence.outputs
    return {
        "copy": int((outputs.labels == "copy").sum()),
        "copy_of_report_images": int(evidence.positive.sum()),
        "copy_of_selection_images": int(outputs.copies_of("selection").sum()),
        "copy_of_images_not_planted": int(
            ((outputs.labels == "copy") & (outputs.splits == "")).sum()
        ),
        "grey": int(outputs.grey.sum()),
        "novel": int(outputs.novel.sum()),
    }


def _roc(evidence: Evidence) -> dict[str, list[float]]:
    """Sensitivity over a grid of false-positive rates, with a pointwise band."""
    negatives = evidence.scores[evidence.outputs.novel]
    copies = evidence.scores[evidence.positive]
    points = [
        estimate_sensitivity(
            copies, evidence.groups, negatives,
            allowed_above=min(int(fpr * len(negatives)), len(negatives) - 1),
        )
        for fpr in ROC_GRID
    ]  # fmt: skip
    if not points or points[0]["low"] is None:
        return {"fpr": [], "tpr": [], "tpr_low": [], "tpr_high": []}
    return {
        "fpr": ROC_GRID.tolist(),
        "tpr": [float(point["value"] or 0) for point in points],
        "tpr_low": [float(point["low"] or 0) for point in points],
        "tpr_high": [float(point["high"] or 0) for point in points],
    }
