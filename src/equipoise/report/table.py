"""The tables of the pages, as rows of plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.report.item import Item
from equipoise.report.plot import Group
from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.wording import format_title
from equipoise.runs import Run


@dataclass(frozen=True)
class Rival:
    """A row of the comparison."""

    name: str
    note: str
    tone: str
    rate: Rate


def list_rivals(results: Mapping[str, Any]) -> list[Rival]:
    """List detector, told nothing, paper's statistic, baselines (best first), twin, oracle."""
    grey = get_mapping(results.get("with_grey_as_negative"))
    baselines = get_mapping(results.get("baselines"))
    trivial = [
        Rival(format_title(name), "trivial baseline", "muted", get_rate(entry))
        for name, entry in baselines.items()
    ]
    trivial.sort(key=lambda rival: (-(rival.rate.value or 0), rival.name))
    rivals = [
        Rival("This detector", "novel as negatives", "warm", get_rate(results.get("auroc"))),
        Rival("This detector", "novel and grey as negatives", "warm", get_rate(grey.get("auroc"))),
        Rival(
            "Told nothing", "this model\u2019s detector for images of unknown prompts", "warm",
            get_rate(results.get("told_nothing")),
        ),
        Rival(
            "Paper\u2019s statistic", "standard deviation of max-pooled units", "ink",
            get_rate(results.get("paper_statistic")),
        ),
        *trivial,
        Rival(
            "Clean twin", "same images, never duplicated: content alone", "cool",
            get_rate(results.get("clean_twin_auroc")),
        ),
        Rival(
            "Oracle", "nearest-training distance: needs the training set, defines the label",
            "muted", get_rate(results.get("oracle")),
        ),
    ]  # fmt: skip
    return [rival for rival in rivals if rival.rate.value is not None]


def get_floor(rivals: Sequence[Rival]) -> float:
    """Start the scale of the comparison a tenth below the lowest interval, at .4 or lower."""
    lows = [rival.rate.low for rival in rivals if rival.rate.low is not None]
    return max(0.0, np.floor(10 * min([0.4, *lows])) / 10)


@dataclass(frozen=True)
class Copied:
    """A training image and how often the model repeats it."""

    index: int
    kind: str | None
    multiplicity: int | None
    count: int
    flagged: int
    row: int | None
    """A row of the album that shows it, if any."""


def list_copied(results: Mapping[str, Any], items: Sequence[Item]) -> list[Copied]:
    """List the training images most copied, with how many of the copies are flagged."""
    copies: dict[str, list[Item]] = {}
    for item in items:
        if item.label == "copy" and item.nearest is not None:
            copies.setdefault(item.nearest, []).append(item)
    entries = [get_mapping(entry) for entry in get_list(results.get("most_copied"))]
    known = [entry for entry in entries if get_count(entry.get("index")) is not None]
    return [_build_copied(entry, copies) for entry in known]


def list_quantiles(groups: Sequence[Group], threshold: float | None) -> list[dict[str, Any]]:
    """Say in numbers what the histogram shows."""
    rows = []
    for group in groups:
        low, middle, high = (float(q) for q in np.quantile(group.scores, [0.05, 0.5, 0.95]))
        above = None if threshold is None else float((group.scores >= threshold).mean())
        rows.append(
            {"name": group.name, "tone": group.tone, "n": len(group.scores), "low": low,
             "middle": middle, "high": high, "above": above}
        )  # fmt: skip
    return rows


def list_parts(cost: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the parts of the job with their network evaluations and seconds."""
    return [
        {"name": str(name).replace("_", " "), **{
            key: get_number(get_mapping(part).get(key)) for key in ("evaluations", "seconds")
        }}
        for name, part in get_mapping(cost.get("parts")).items()
    ]  # fmt: skip


def list_record(run: Run) -> dict[str, Any]:
    """List what a page says of its record: what was asked for, made with what, in which time."""
    record = run.record
    return {
        "spec": record.spec,
        "spec_rows": flatten(record.spec),
        "provenance_rows": flatten(record.provenance),
        "seconds": get_number(record.cost.get("seconds")),
    }


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """List a nested record as dotted names and values."""
    rows: list[tuple[str, str]] = []
    for key, entry in tree.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping):
            rows += flatten(entry, f"{name}.")
        elif isinstance(entry, list):
            rows.append((name, ", ".join(str(part) for part in entry)))
        else:
            rows.append((name, "\u2014" if entry is None else str(entry)))
    return rows


def _build_copied(entry: Mapping[str, Any], copies: Mapping[str, list[Item]]) -> Copied:
    index = get_count(entry["index"]) or 0
    found = copies.get(str(index), [])
    kind = entry.get("kind")
    return Copied(
        index=index,
        kind=None if kind is None else str(kind),
        multiplicity=get_count(entry.get("multiplicity")),
        count=get_count(entry.get("count")) or 0,
        flagged=sum(item.flagged for item in found),
        row=found[0].row if found else None,
    )
