"""One detector on the stage of one model: chosen, calibrated, reported.

1. Of its variants, the one with the largest |AUROC - 1/2| on the choosing split, with its sign;
   every planted image counts once there.
2. Its threshold is set on novel outputs of the selection stream, for one percent.
3. Everything that is told comes from the report split: other planted images, other noise.

A detector that costs much sees a seeded subsample of every part (to choose on, half of it, since
every variant sees that), one that costs very much is not
shown to the twin nor to real images, and one that costs more takes part where it is named only,
see `bench/budget.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from equipoise.bench.budget import count_affordable, find_excess, is_costly
from equipoise.bench.entry import Entry
from equipoise.bench.interval import (
    Estimate,
    estimate_auroc,
    estimate_difference,
    estimate_found_difference,
    estimate_sensitivity,
    exact_rate,
)
from equipoise.bench.stage import Items, Stage
from equipoise.bench.wording import PromptBaseline
from equipoise.denoisers import Denoiser
from equipoise.detection import Card, Detector, Scores, find_obstacle, weighted_auroc
from equipoise.images import as_unit
from equipoise.zoo.planting import PlantedImage

FPR = 0.01
ROC_POINTS = np.unique(
    np.concatenate([[0.0], np.geomspace(0.002, 0.1, 16), np.linspace(0.1, 1, 10)])
)


@dataclass(frozen=True)
class Outcome:
    """What a detector said of the report split, higher = more memorized, and what it cost."""

    entry: Entry
    detector: Detector | PromptBaseline
    sign: int
    rows: Int64[np.ndarray, " case"]
    scores: Float64[np.ndarray, " case"]
    twin: Float64[np.ndarray, " case"] | None
    calibration: Float64[np.ndarray, " novel"]
    arms: dict[str, Float64[np.ndarray, " real"] | None]
    chosen_auroc: float
    seconds_per_item: float
    spent: int

    @property
    def allowed_above(self) -> int:
        """How many novel outputs of the calibration lie above the threshold, for one percent."""
        return int(FPR * (len(self.calibration) + 1) + 1e-9) - 1

    @property
    def threshold(self) -> float:
        """What a copy must score more than to count as found."""
        return float(np.sort(self.calibration)[len(self.calibration) - 1 - self.allowed_above])

    def rate(
        self,
        copies: Float64[np.ndarray, " copy"],
        groups: Int64[np.ndarray, " copy"],
        novel: Float64[np.ndarray, " other"],
    ) -> dict[str, Estimate]:
        """Rate scores by the threshold: `auroc`, `tpr_at_1pct_fpr` and `fpr`."""
        return {
            "auroc": estimate_auroc(copies, groups, novel),
            "tpr_at_1pct_fpr": estimate_sensitivity(
                copies, groups, self.calibration, allowed_above=self.allowed_above
            ),
            "fpr": exact_rate(int((novel > self.threshold).sum()), len(novel)),
        }


def run_contest(
    entry: Entry,
    stage: Stage,
    denoiser: Denoiser,
    twin: Denoiser | None,
    *,
    whatever_it_costs: bool = True,
) -> Outcome | str:
    """Choose, calibrate and score; or say why the detector cannot be used on the model."""
    card = entry.candidates[0].card
    obstacle = find_obstacle(card, denoiser)
    if not obstacle and not whatever_it_costs:
        obstacle = find_excess(card, denoiser)
    if obstacle:
        return obstacle
    limit, costly = count_affordable(card, denoiser), is_costly(card, denoiser)
    spent: list[Scores] = []

    def ask(detector: Detector | PromptBaseline, model: Denoiser, items: Items) -> np.ndarray:
        spent.append(_score(detector, model, items))
        return spent[-1].values.numpy()

    choose = stage.choose.pick(stage.choose.find_first(limit // 2))
    calibrate = stage.calibrate.pick(stage.calibrate.find_first(limit))
    planted = torch.from_numpy(choose.planted)
    areas = [
        weighted_auroc(torch.from_numpy(ask(candidate, denoiser, choose)), planted)
        for candidate in entry.candidates
    ]
    best = max(range(len(areas)), key=lambda place: abs(areas[place] - 0.5))
    detector, sign = entry.candidates[best], 1 if areas[best] >= 0.5 else -1
    rows = stage.report.find_first(limit)
    told = stage.report.pick(rows)
    scores = sign * ask(detector, denoiser, told)
    seconds = spent[-1].seconds / len(rows)
    return Outcome(
        entry, detector, sign, rows, scores,
        twin=None if twin is None or costly else sign * ask(detector, twin, told),
        calibration=sign * ask(detector, denoiser, calibrate),
        arms={
            name: sign * ask(detector, denoiser, items.pick(items.find_first(limit)))
            if _can_see(card, items) and not costly
            else None
            for name, items in stage.arms.items()
        },
        chosen_auroc=max(areas[best], 1 - areas[best]),
        seconds_per_item=seconds,
        spent=sum(part.evaluations for part in spent),
    )  # fmt: skip


def _score(detector: Detector | PromptBaseline, denoiser: Denoiser, items: Items) -> Scores:
    if isinstance(detector, PromptBaseline):
        return detector.score_prompts(items.prompts or [])
    images = as_unit(items.pictures)
    return detector.score(denoiser, images, items.ids, conditions=items.conditions)


def _can_see(card: Card, items: Items) -> bool:
    """Say whether items have what a detector needs: real images may lack a condition."""
    known = {"condition": items.conditions, "words": items.prompts}
    return all(known[need] is not None for need in card.needs if need in known)


def describe_outcome(
    outcome: Outcome,
    stage: Stage,
    planted_images: Mapping[int, PlantedImage],
    residual: Outcome | None,
) -> dict[str, Any]:
    """Turn an outcome into a row: every figure with its interval."""
    planted = stage.report.planted[outcome.rows]
    copy, groups = planted >= 0, planted[planted >= 0]
    copies, novel = outcome.scores[copy], outcome.scores[~copy]
    card = outcome.detector.card
    is_rival = residual is not None and residual.entry.name != outcome.entry.name
    versus = compare_outcomes(outcome, residual, stage) if residual and is_rival else None
    return _describe_entry(outcome.entry, card, reason=None) | {
        "sign": outcome.sign,
        "chosen": _describe_detector(outcome.detector),
        "chosen_auroc": outcome.chosen_auroc,
        **outcome.rate(copies, groups, novel),
        "clean_twin_auroc": None
        if outcome.twin is None
        else estimate_auroc(outcome.twin[copy], groups, outcome.twin[~copy]),
        "minus_residual": None if versus is None else versus.auroc,
        "found_minus_residual": None if versus is None else versus.found,
        "against": {
            name: None if real is None else estimate_auroc(copies, groups, real)
            for name, real in outcome.arms.items()
        },
        "by_kind": _split_copies(outcome, groups, planted_images, "kind"),
        "by_multiplicity": _split_copies(outcome, groups, planted_images, "multiplicity"),
        "n": {
            "copies": len(copies),
            "planted_images": len(np.unique(groups)),
            "novel": len(novel),
            "calibration": len(outcome.calibration),
        },
        "roc": _trace_roc(copies, novel),
        "evaluations": card.evaluations,
        "seconds_per_item": outcome.seconds_per_item,
    }


def describe_skipped(entry: Entry, reason: str) -> dict[str, Any]:
    """Turn a detector that cannot be used into a row that says why."""
    card = entry.candidates[0].card
    figures = (
        "sign", "chosen", "chosen_auroc", "auroc", "tpr_at_1pct_fpr", "fpr", "clean_twin_auroc",
        "minus_residual", "found_minus_residual", "against", "by_kind", "by_multiplicity", "n",
        "roc", "evaluations", "seconds_per_item",
    )  # fmt: skip
    return _describe_entry(entry, card, reason=reason) | dict.fromkeys(figures)


def _describe_entry(entry: Entry, card: Card, *, reason: str | None) -> dict[str, Any]:
    """Say what a row is of, and why it holds no figures; None: it does."""
    return {
        "detector": entry.name,
        "baseline": entry.baseline,
        "needs": list(card.needs),
        "source": card.source,
        "reason": reason,
    }


@dataclass(frozen=True)
class Comparison:
    """One detector minus another on the report split: of AUROC, and of copies found at 1 %."""

    auroc: Estimate
    found: Estimate


def compare_outcomes(
    mine: Outcome, other: Outcome, stage: Stage, wanted: Bool[np.ndarray, " case"] | None = None
) -> Comparison:
    """Compare two detectors on the items of the report split that both scored.

    Args:
        mine: The first.
        other: What is taken from it.
        stage: Where both were measured.
        wanted: Marks the items of the report split that count; all without it.
    """
    rows, *places = np.intersect1d(mine.rows, other.rows, return_indices=True)
    kept = np.ones(len(rows), dtype=bool) if wanted is None else wanted[rows]
    a, b = (one.scores[place[kept]] for one, place in zip((mine, other), places, strict=True))
    planted = stage.report.planted[rows[kept]]
    copy = planted >= 0
    groups = planted[copy]
    return Comparison(
        auroc=estimate_difference(a[copy], a[~copy], b[copy], b[~copy], groups),
        found=estimate_found_difference(
            a[copy] > mine.threshold, b[copy] > other.threshold, groups
        ),
    )


def _split_copies(
    outcome: Outcome, groups: np.ndarray, images: Mapping[int, PlantedImage], trait: str
) -> dict[str, Estimate]:
    """AUROC of the copies of each kind, or of each multiplicity, against all novel outputs.

    Empty where no such thing is known of the images.
    """
    if not images:
        return {}
    count = len(groups)
    copies, novel = outcome.scores[:count], outcome.scores[count:]
    traits = np.array([str(getattr(images[int(index)], trait)) for index in groups])
    return {
        name: estimate_auroc(copies[traits == name], groups[traits == name], novel)
        for name in sorted(set(traits.tolist()))
    }


def _trace_roc(copies: np.ndarray, novel: np.ndarray) -> dict[str, list[float]]:
    tpr = [float((copies > _find_threshold(novel, fpr)).mean()) for fpr in ROC_POINTS]
    return {"fpr": ROC_POINTS.tolist(), "tpr": tpr}


def _find_threshold(novel: np.ndarray, fpr: float) -> float:
    allowed = min(int(fpr * len(novel) + 1e-9), len(novel) - 1)
    return float(np.sort(novel)[len(novel) - 1 - allowed])


def _describe_detector(detector: Any) -> dict[str, Any]:  # noqa: ANN401 - anybody's
    """Describe a specification for the record, without long lists of numbers."""
    told = detector.describe() if hasattr(detector, "describe") else dict(vars(detector))
    return {name: entry for name, entry in told.items() if _is_short(entry)}


def _is_short(entry: object) -> bool:
    return isinstance(entry, str | int | float | None) or (
        isinstance(entry, tuple) and len(entry) < 20
    )
