"""The page of a demo run: a planted zoo model, its fresh outputs, and the truth about them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.report.activation import build_profiles
from equipoise.report.calibration import load_calibration_scores
from equipoise.report.gallery import build_gallery, load_album
from equipoise.report.item import Item, list_scores, load_items
from equipoise.report.picture import build_picture
from equipoise.report.plot import Curve, Group, render_histogram, render_roc
from equipoise.report.rate import (
    get_count,
    get_list,
    get_mapping,
    get_number,
    get_rate,
)
from equipoise.report.table import (
    get_floor,
    list_copied,
    list_parts,
    list_quantiles,
    list_record,
    list_rivals,
)
from equipoise.report.wording import (
    build_answer,
    build_content_warning,
    build_promise,
    get_promised,
)
from equipoise.runs import Run

LABELS = {"novel": "cool", "grey": "grey", "copy": "warm"}
ROWS = 3000
"""Most items in the table of all items; the rest is in the run folder."""


def build_demo(run: Run) -> dict[str, Any]:
    """Build what `demo.html.j2` shows."""
    record = run.record
    items = load_items(run)
    album = load_album(run, rows=len(items))
    copied = list_copied(record.results, items)
    return {
        **list_record(run),
        "detector": get_mapping(record.spec.get("detector")),
        "paper": get_mapping(record.spec.get("paper")),
        "results": record.results,
        "items": items[:ROWS],
        "num_items": len(items),
        "num_failed": sum(item.error is not None for item in items),
        "gallery": build_gallery(items, album),
        "profiles": build_profiles(run, record.results, items, album),
        "copied": [
            (entry, None if entry.row is None else build_picture(album.nearest[entry.row]))
            for entry in copied
        ],
        "parts": list_parts(record.cost),
        **_build_headline(record.results, len(items)),
        **_build_scores(run, items),
        **_build_roc(record.results),
        **_build_comparison(record.results),
    }


def _build_headline(results: Mapping[str, Any], num_outputs: int) -> dict[str, Any]:
    """Answer, warning and the numbers of the cards."""
    word, sentence = build_answer(results, num_outputs=num_outputs)
    twin, difference = (
        get_rate(results.get(k)) for k in ("clean_twin_auroc", "planted_minus_twin")
    )
    partly = results.get("partly_content") is True
    grey = get_mapping(results.get("with_grey_as_negative"))
    fpr = get_mapping(results.get("fpr"))
    return {
        "word": word,
        "sentence": sentence,
        "promise": build_promise(results),
        "warning": build_content_warning(twin, difference) if partly else "",
        "auroc": get_rate(results.get("auroc")),
        "tpr": get_rate(results.get("tpr_at_1pct_fpr")),
        "twin": twin,
        "difference": difference,
        "fpr": get_rate(fpr),
        "promised": get_promised(results),
        "fpr_kind": fpr.get("interval_kind"),
        "num_calibration": get_count(fpr.get("n_calibration")),
        "grey_auroc": get_rate(grey.get("auroc")),
        "grey_fpr": get_rate(grey.get("fpr")),
        "labels": _build_counts(results, "labels"),
        "verdicts": _build_counts(results, "verdicts"),
    }


def _build_counts(results: Mapping[str, Any], key: str) -> dict[str, int | None]:
    """Read the counts of a record; templates find every name, missing or not."""
    names = ("copy", "copy_of_selection_images", "grey", "novel")
    names += ("memorized", "inconclusive", "not_memorized")
    found = get_mapping(results.get(key))
    return {name: get_count(found.get(name)) for name in names}


def _build_scores(run: Run, items: Sequence[Item]) -> dict[str, Any]:
    """Histogram of the scores, and its numbers."""
    calibration = get_mapping(run.record.results.get("calibration"))
    threshold = get_number(calibration.get("threshold"))
    groups = [Group("calibration", "muted", load_calibration_scores(run))]
    groups += [
        Group(label, tone, np.asarray(list_scores(items, label))) for label, tone in LABELS.items()
    ]
    groups = [group for group in groups if len(group.scores)]
    return {
        "threshold": threshold,
        "null": calibration.get("null"),
        "histogram": render_histogram(groups, threshold) if groups else "",
        "quantiles": list_quantiles(groups, threshold),
    }


def _build_roc(results: Mapping[str, Any]) -> dict[str, Any]:
    """Both ROC plots, and their points."""
    entry = get_mapping(results.get("roc"))
    fpr, tpr, low, high = (
        np.asarray([n for n in map(get_number, get_list(entry.get(key))) if n is not None])
        for key in ("fpr", "tpr", "tpr_low", "tpr_high")
    )
    promised = get_promised(results)
    if not len(fpr) or len(fpr) != len(tpr):
        return {"roc": "", "roc_log": "", "roc_rows": []}
    banded = len(low) == len(high) == len(fpr)
    curve = Curve(fpr, tpr, low if banded else fpr[:0], high if banded else fpr[:0])
    columns = [fpr, tpr, low, high] if banded else [fpr, tpr]
    return {
        "roc": render_roc(curve, promised=promised, log=False),
        "roc_log": render_roc(curve, promised=promised, log=True),
        "roc_rows": [[float(number) for number in row] for row in zip(*columns, strict=True)],
    }


def _build_comparison(results: Mapping[str, Any]) -> dict[str, Any]:
    rivals = list_rivals(results)
    trivial = [rival for rival in rivals if rival.note == "trivial baseline"]
    return {"rivals": rivals, "floor": get_floor(rivals), "best": trivial[0] if trivial else None}
