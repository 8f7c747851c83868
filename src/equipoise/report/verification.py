"""The page of a verification: does what an audit flagged still come out after a mitigation?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equipoise.report.exhibit import Exhibit
from equipoise.report.item import Item, load_items, read_rows
from equipoise.report.rate import Rate, get_count, get_mapping, get_number, get_rate
from equipoise.report.statement import Answer
from equipoise.report.table import list_record
from equipoise.report.thumbnail import load_thumbnails
from equipoise.report.wording import SPACE, format_count, format_number, format_percent
from equipoise.runs import ITEM_COLUMNS, Run

MODELS, GENERATIONS = ("before", "after"), ("same noise", "new noise")
LEVEL = 0.05
"""A change is told from none from this p-value of McNemar's test down."""
SHOWN = 60
"""Most flagged outputs with pictures."""


@dataclass(frozen=True)
class Change:
    """What became of one generation; None where the record does not say."""

    generation: str
    before: Rate
    after: Rate
    copies_before: Rate
    copies_after: Rate
    gone: int | None
    left: int | None
    new: int | None
    p_value: float | None


@dataclass(frozen=True)
class Trial:
    """One flagged output with its four generations, as far as they are in the folder."""

    source: str
    score: float
    exhibits: dict[tuple[str, str], Exhibit]


def build_verification(run: Run) -> dict[str, Any]:
    """Build what `verification.html.j2` shows.

    Raises:
        RunError: when the items are missing or damaged.
    """
    results, spec = run.record.results, run.record.spec
    changes = [_read_change(results, generation) for generation in GENERATIONS]
    trials = _list_trials(run)
    return {
        **list_record(run),
        "changes": changes,
        "answer": build_answer(changes[0]),
        "note": build_note(changes[0]),
        "with_copies": any(change.copies_before.value is not None for change in changes),
        "promised": get_number(spec.get("promised")),
        "trials": trials[:SHOWN],
        "num_trials": len(trials),
        "columns": [(model, generation) for generation in GENERATIONS for model in MODELS],
    }


def build_answer(same: Change) -> Answer:
    """Say in one sentence what the mitigation did to what comes from the same noise."""
    before, after = same.before, same.after
    if before.value is None or after.value is None or same.p_value is None:
        return Answer("muted", "No answer:", "this run holds no rates.")
    hits = [round((rate.value or 0) * (rate.n or 0)) for rate in (before, after)]
    if not any(hits):
        return Answer(
            "muted", "No answer:",
            f"the judge sees none of {format_count(before.n)} flagged outputs, before "
            "the mitigation or after it.",
        )  # fmt: skip
    told = (
        f"from the same noise {format_count(hits[1])} of {format_count(after.n)} flagged outputs "
        f"come out memorized after the mitigation, {format_count(hits[0])} before "
        f"(p{SPACE}={SPACE}{format_number(same.p_value, 2)})."
    )
    if same.p_value > LEVEL:
        return Answer("muted", "Not shown:", told)
    return Answer("cool", "Fewer:", told) if hits[1] < hits[0] else Answer("warm", "More:", told)


def build_note(same: Change) -> str:
    """Say how much of what the audit flagged is tested at all."""
    share = same.before.value
    if share is None:
        return ""
    return (
        f"The judge is the denoising residual, which shares nothing with the detector of the "
        f"audit. Before the mitigation it sees {format_percent(share)} of what the audit flagged: "
        "only a fall from there is evidence, and the rest is not tested here."
    )


def _read_change(results: Mapping[str, Any], generation: str) -> Change:
    rates = get_mapping(results.get("rates"))
    before, after = (get_mapping(rates.get(f"{model}, {generation}")) for model in MODELS)
    counts = get_mapping(get_mapping(results.get("changes")).get(generation))
    return Change(
        generation,
        before=get_rate(before.get("flagged")),
        after=get_rate(after.get("flagged")),
        copies_before=get_rate(before.get("copies")),
        copies_after=get_rate(after.get("copies")),
        gone=get_count(counts.get("gone")),
        left=get_count(counts.get("left")),
        new=get_count(counts.get("new")),
        p_value=get_number(counts.get("p_value")),
    )


def _list_trials(run: Run) -> list[Trial]:
    """List the flagged outputs, those first that look most memorized before the mitigation."""
    items = {item.row: item for item in load_items(run)}
    rows: dict[str, dict[tuple[str, str], Item]] = {}
    for row, entry in read_rows(run, (*ITEM_COLUMNS, "model", "generation"), items):
        place = (str(entry.get("model")), str(entry.get("generation")))
        rows.setdefault(items[row].source, {})[place] = items[row]
    ordered = sorted(rows.items(), key=lambda pair: -_score_before(pair[1]))
    pictured = [item.row for _, found in ordered[:SHOWN] for item in found.values()]
    thumbnails = load_thumbnails(run, pictured)
    return [
        Trial(source, _score_before(found),
              {p: Exhibit(item, thumbnails[item.row]) for p, item in found.items()}
              if place < SHOWN else {})
        for place, (source, found) in enumerate(ordered)
    ]  # fmt: skip


def _score_before(found: Mapping[tuple[str, str], Item]) -> float:
    item = found.get((MODELS[0], GENERATIONS[0]))
    return float("-inf") if item is None or item.score is None else item.score
