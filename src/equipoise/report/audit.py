"""The page of an audit: a pile of anybody's images, judged by a calibrated detector.

The answer about the images and the answer about the model are kept apart. Counts are taken from
the items, not from the record, and add up to every item of the folder.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from equipoise.report.calibration import load_calibration_scores
from equipoise.report.exhibit import build_exhibits
from equipoise.report.item import STATES, load_items
from equipoise.report.plot import Group, render_histogram
from equipoise.report.rate import Rate, get_count, get_mapping, get_number, get_rate
from equipoise.report.roster import LISTED, build_failures, build_rosters, list_other_files
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
from equipoise.report.survey import Survey, survey_items
from equipoise.report.table import flatten, list_parts, list_quantiles
from equipoise.runs import Run


def build_audit(run: Run) -> dict[str, Any]:
    """Build what `audit.html.j2` shows.

    Raises:
        RunError: when the run folder is incomplete or damaged.
    """
    record = run.record
    survey = survey_items(run)
    counts = survey.count_states()
    exhibits = build_exhibits(run, survey)
    spec = {name: entry for name, entry in record.spec.items() if name != "picture_rule"}
    return {
        "spec": record.spec,
        "detector": get_mapping(record.spec.get("detector")),
        "provenance": record.provenance,
        "states": STATES,
        "counts": counts,
        "num_items": len(survey.states),
        "num_scored": count_scored(counts),
        "sum": build_sum(counts),
        "exhibits": exhibits,
        "shown": Counter(exhibit.item.state for exhibit in exhibits.table),
        **_build_lists(run, survey, len(exhibits.table)),
        "other_files": list_other_files(record.results.get("other_files")),
        "with_heat": any(exhibit.thumbnails.heat for exhibit in exhibits.flagged),
        "with_nearest": survey.with_nearest,
        "spec_rows": flatten(spec),
        "rule_rows": flatten(get_mapping(record.spec.get("picture_rule"))),
        "provenance_rows": flatten(record.provenance),
        "parts": list_parts(record.cost),
        "seconds": get_number(record.cost.get("seconds")),
        **_build_headline(record.results, counts),
        **_build_model(record.results),
        **_build_scores(run, survey),
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


def _build_lists(run: Run, survey: Survey, num_shown: int) -> dict[str, Any]:
    """List what is not in the table, and what failed, as far as a page can."""
    rest = survey.rank()[num_shown:]
    listed = rest[:LISTED].tolist()
    failed = survey.list_rows("failed")[:LISTED].tolist()
    place = {row: index for index, row in enumerate(listed)}
    items = sorted(load_items(run, listed), key=lambda item: place[item.row])
    return {
        "rosters": build_rosters(items, survey.count_states(rest)),
        "failures": build_failures(load_items(run, failed), survey.reasons),
    }


def _build_scores(run: Run, survey: Survey) -> dict[str, Any]:
    """Histogram of the scores against the calibration, and its numbers."""
    calibration = get_mapping(run.record.results.get("calibration"))
    threshold = get_number(calibration.get("threshold"))
    known = load_calibration_scores(run)
    scores = survey.scores[~np.isnan(survey.scores)]
    flagged = survey.scores[survey.list_rows("memorized")]
    groups = [
        Group("calibration", "muted", known),
        Group("audited", "cool", scores),
        Group("flagged", "warm", flagged[~np.isnan(flagged)]),
    ]
    groups = [group for group in groups if len(group.scores)]
    return {
        "threshold": threshold,
        "histogram": render_histogram(groups, threshold) if groups else "",
        "quantiles": list_quantiles(groups, threshold),
        "scale": build_scale(known, scores),
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
