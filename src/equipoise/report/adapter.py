"""The page of an adapter's audit: which training images it memorized, and at which scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.report.exhibit import Exhibit
from equipoise.report.item import Item, load_items, rank
from equipoise.report.plot import Group, render_histogram
from equipoise.report.rate import get_count, get_list, get_mapping, get_number
from equipoise.report.roster import Roster, build_failures, build_roster
from equipoise.report.table import list_record
from equipoise.report.thumbnail import load_thumbnails
from equipoise.report.wording import format_count, format_number, format_percent, format_visible
from equipoise.runs import Run

SHOWN = 100
"""Most named images with pictures."""
LABELS = {"held-out": "cool", "training": "warm"}


def build_adapter(run: Run) -> dict[str, Any]:
    """Build what `adapter.html.j2` shows.

    Raises:
        RunError: when the items are missing or damaged.
    """
    items, results = load_items(run), run.record.results
    scored = {
        split: [item for item in items if item.split == split and item.score is not None]
        for split in LABELS
    }
    named = [item for item in rank(scored["training"]) if item.named]
    gain = get_number(results.get("least_gain"))
    shown = named[:SHOWN]
    thumbnails = load_thumbnails(run, {item.row for item in shown})
    training, held_out = len(scored["training"]), len(scored["held-out"])
    return {
        **list_record(run),
        "sentence": build_sentence(len(named), training, gain),
        "learned": get_count(results.get("learned")),
        "gain": gain,
        "untold": results.get("untold") is True,
        "num_named": len(named),
        "num_training": training,
        "num_held_out": held_out,
        "fdr": get_number(results.get("fdr")),
        "smallest": get_count(results.get("smallest_number_nameable")),
        "recommended": get_number(results.get("recommended_scale")),
        "scales": [get_mapping(entry) for entry in get_list(results.get("scales"))],
        "left_out": get_count(results.get("text_encoder_modules_left_out")),
        "exhibits": [Exhibit(item, thumbnails[item.row]) for item in shown],
        "histogram": _draw(scored, gain),
        "roster": _list_training(scored["training"]),
        "failures": build_failures(items),
        "num_failed": sum(item.error is not None for item in items),
    }


def build_sentence(named: int, training: int, gain: float | None) -> str:
    """Say in one sentence what the adapter memorized."""
    count = format_count(named) if named else "None"
    told = (
        f", and at least {format_percent(gain)} of the error on each is gone"
        if gain and named
        else ""
    )
    return (
        f"{count} of {format_count(training)} training images {'is' if named == 1 else 'are'} "
        f"named{': learned more than held-out images explain' if named else ''}{told}."
    )


def _draw(scored: dict[str, list[Item]], gain: float | None) -> str | None:
    groups = [
        Group(split, tone, np.array([item.score for item in scored[split]]))
        for split, tone in LABELS.items()
        if scored[split]
    ]
    label = (
        "log of the error without over with" if gain else "score with the adapter minus without"
    )
    return render_histogram(groups, None, xlabel=label) if groups else None


def _list_training(items: Sequence[Item]) -> Roster:
    lines = [
        f"{format_number(item.score, 4):>10}  {format_number(item.q_value, 3):>8}  "
        f"{format_visible(item.source)}"
        for item in rank(items)
    ]
    return build_roster("Every training image", lines)
