"""The page of an audit: a pile of anybody's images, judged by a calibrated detector.

The answer about the images and the answer about the model are kept apart. Counts are taken from
the items, not from the record, and add up to every item of the folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from equipoise.report.calibration import load_calibration_scores
from equipoise.report.exhibit import build_exhibits
from equipoise.report.item import STATES, Item, count_states, load_items, rank
from equipoise.report.plot import Group, render_histogram
from equipoise.report.rate import Rate, get_count, get_mapping, get_number, get_rate
from equipoise.report.roster import build_failures, build_rosters, list_other_files
from equipoise.report.statement import (
    build_answer,
    build_labels,
    build_model_answer,
    build_model_note,
    build_points,
    build_sum,
    build_warnings,
    count_scored,
    is_beyond,
)
from equipoise.report.table import flatten, list_parts, list_quantiles
from equipoise.runs import Run


def build_audit(run: Run) -> dict[str, Any]:
    """Build what `audit.html.j2` shows.

    Raises:
        RunError: when the run folder is incomplete or damaged.
    """
    record = run.record
    items = load_items(run)
    ranked = rank(items)
    counts = count_states(items)
    exhibits = build_exhibits(run, ranked)
    spec = {name: entry for name, entry in record.spec.items() if name != "picture_rule"}
    return {
        "spec": record.spec,
        "detector": get_mapping(record.spec.get("detector")),
        "provenance": record.provenance,
        "states": STATES,
        "counts": counts,
        "num_items": len(items),
        "num_scored": count_scored(counts),
        "sum": build_sum(counts),
        "exhibits": exhibits,
        "shown": count_states([exhibit.item for exhibit in exhibits.table]),
        "rosters": build_rosters(ranked[len(exhibits.table) :]),
        "failures": build_failures(items),
        "other_files": list_other_files(record.results.get("other_files")),
        "with_heat": any(exhibit.thumbnails.heat for exhibit in exhibits.flagged),
        "with_nearest": any(item.nearest is not None for item in items),
        "spec_rows": flatten(spec),
        "rule_rows": flatten(get_mapping(record.spec.get("picture_rule"))),
        "provenance_rows": flatten(record.provenance),
        "parts": list_parts(record.cost),
        "seconds": get_number(record.cost.get("seconds")),
        **_build_headline(record.results, counts),
        **_build_model(record.results),
        **_build_scores(run, items),
    }


def _build_headline(results: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    """Answer, warnings and the numbers of the cards."""
    calibration = get_mapping(results.get("calibration"))
    discoveries = get_mapping(results.get("discoveries"))
    return {
        "answer": build_answer(results, counts),
        "warnings": build_warnings(results, counts),
        "points": build_points(results, counts),
        "labels": build_labels(results),
        "beyond": is_beyond(results, counts["memorized"]),
        "expected": get_rate(results.get("expected_false_flags")),
        "copy_rate": get_rate(results.get("copy_rate")),
        "sensitivity": get_rate(results.get("sensitivity")),
        "limit": get_number(results.get("detection_limit")),
        "promised": get_number(calibration.get("promised")),
        "achieved": get_rate(calibration.get("achieved")),
        "num_calibration": get_count(calibration.get("n")),
        "num_discoveries": get_count(discoveries.get("count")),
        "q": get_number(discoveries.get("q")),
        "num_needed": get_count(discoveries.get("calibration_items_needed")),
    }


def _build_model(results: Mapping[str, Any]) -> dict[str, Any]:
    """Build the answer about the model; none where the whole model was not tested."""
    permutation = get_mapping(results.get("permutation"))
    if not permutation:
        return {"model_answer": None, "model_note": "", "model_auroc": Rate()}
    return {
        "model_answer": build_model_answer(permutation),
        "model_note": build_model_note(permutation),
        "model_auroc": get_rate(permutation.get("auroc")),
    }


def _build_scores(run: Run, items: Sequence[Item]) -> dict[str, Any]:
    """Histogram of the scores against the calibration, and its numbers."""
    calibration = get_mapping(run.record.results.get("calibration"))
    threshold = get_number(calibration.get("threshold"))
    known = load_calibration_scores(run)
    groups = [
        Group("calibration", "muted", known),
        Group("audited", "cool", _list_scores(items)),
        Group("flagged", "warm", _list_scores([found for found in items if found.flagged])),
    ]
    groups = [group for group in groups if len(group.scores)]
    return {
        "threshold": threshold,
        "histogram": render_histogram(groups, threshold) if groups else "",
        "quantiles": list_quantiles(groups, threshold),
        "scale": build_scale(known, _list_scores(items)),
    }


@dataclass(frozen=True)
class Scale:
    """What the score of one image is drawn against."""

    floor: float
    top: float
    low: float
    """From here to `high` lie 90 % of the calibration scores."""
    high: float


def build_scale(
    known: Float[np.ndarray, " sample"], scores: Float[np.ndarray, " item"]
) -> Scale | None:
    """Lay a scale over calibration and items; None where nothing was calibrated."""
    if not len(known):
        return None
    floor, top = np.quantile(np.concatenate([known, scores]), [0.001, 0.999])
    low, high = np.quantile(known, [0.05, 0.95])
    return Scale(float(floor), float(top), float(low), float(high)) if top > floor else None


def _list_scores(items: Sequence[Item]) -> Float[np.ndarray, " item"]:
    return np.asarray([item.score for item in items if item.score is not None], dtype=np.float64)
