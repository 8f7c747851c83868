"""The page of two runs side by side: what was asked otherwise, what came out otherwise.

Two rates are said to differ where their 95 % intervals do not meet: stricter than a test of the
difference, and safe where nothing is known of how the two depend on each other. Items are the same
where their ids are, the hash of the picture's bytes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from equipoise.errors import RunError
from equipoise.report.item import Item, load_items
from equipoise.report.rate import Rate, get_mapping, get_number, get_rate
from equipoise.report.table import flatten
from equipoise.report.wording import format_count, format_words
from equipoise.runs import Run

SHOWN = 200
"""Most items with another verdict in the table."""
MIN_RANKED = 3
"""Fewest items of which a rank correlation is told."""


@dataclass(frozen=True)
class Change:
    """A figure of both runs."""

    name: str
    before: Rate
    after: Rate

    @property
    def measured(self) -> bool:
        """Whether both stand with an interval."""
        return None not in (self.before.low, self.before.high, self.after.low, self.after.high)

    @property
    def beyond(self) -> bool:
        """Whether both intervals are known and do not meet."""
        one, two = self.before, self.after
        if one.low is None or one.high is None or two.low is None or two.high is None:
            return False
        return one.high < two.low or two.high < one.low


@dataclass(frozen=True)
class Moved:
    """An item of both runs."""

    before: Item
    after: Item


def build_against(run: Run, other: Run) -> dict[str, Any]:
    """Build what `against.html.j2` shows: `run` is the later one, `other` what it is held against.

    Raises:
        RunError: when the two are of different kinds, or their items are missing or damaged.
    """
    one, two = other.record, run.record
    if one.kind != two.kind:
        raise RunError(
            f'"{run.path}" is of kind "{two.kind}" and "{other.path}" of kind "{one.kind}"; only '
            "runs of one kind can be compared."
        )
    shared = _match_items(other, run)
    moved = [pair for pair in shared if pair.before.state != pair.after.state]
    changes = list_changes(one.results, two.results)
    same_model = one.provenance.get("fingerprint") == two.provenance.get("fingerprint")
    return {
        "kind": two.kind,
        "names": (other.path.name, run.path.name),
        "sentence": build_sentence(shared, moved, changes),
        "same_model": same_model,
        "changes": changes,
        "table": _cross(shared),
        "num_shared": len(shared),
        "correlation": _rank_correlation(shared),
        "moved": moved[:SHOWN],
        "num_moved": len(moved),
        "spec_rows": list_differences(one.spec, two.spec),
        "provenance_rows": list_differences(one.provenance, two.provenance),
    }


def build_sentence(
    shared: Sequence[Moved], moved: Sequence[Moved], changes: Sequence[Change]
) -> str:
    """Say in one sentence how much is different."""
    measured = [change for change in changes if change.measured]
    beyond = sum(change.beyond for change in measured)
    told = (
        f"{format_count(beyond)} of {format_count(len(measured))} rates differ by more than their "
        "intervals allow"
        if measured
        else "No figure of both runs has an interval"
    )
    if not shared:
        return f"{told}; the runs share no item."
    verdicts = f"{format_count(len(moved))} of {format_count(len(shared))}"
    return f"{told}; {verdicts} items of both runs have another verdict."


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """List the figures that both results have: those with an interval first, then plain ones."""
    one, two = dict(_walk(before)), dict(_walk(after))
    found = [Change(name, one[name], two[name]) for name in one if name in two]
    changed = [c for c in found if c.measured or c.before.value != c.after.value]
    return sorted(changed, key=lambda change: not change.measured)


def list_differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """List what stands otherwise in two records: name, before, after."""
    one, two = dict(flatten(before)), dict(flatten(after))
    names = dict.fromkeys((*one, *two))
    rows = ((name, one.get(name, ""), two.get(name, "")) for name in names)
    return [row for row in rows if row[1] != row[2]]


def _walk(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Rate]]:
    """Yield every rate and number of nested results by its dotted name; lists are left out."""
    for key, entry in tree.items():
        name = f"{prefix}{format_words(key)}"
        if isinstance(entry, Mapping) and "value" in entry:
            yield name, get_rate(entry)
        elif isinstance(entry, Mapping):
            yield from _walk(get_mapping(entry), f"{name}, ")
        elif (number := get_number(entry)) is not None:
            yield name, Rate(value=number)


def _match_items(other: Run, run: Run) -> list[Moved]:
    """Pair the items of both runs by id; of equal pictures in one run the first counts."""
    if not (other.list_parts() and run.list_parts()):
        return []
    before = {item.id: item for item in reversed(load_items(other))}
    after = {item.id: item for item in reversed(load_items(run))}
    return [Moved(before[key], item) for key, item in reversed(after.items()) if key in before]


def _cross(shared: Sequence[Moved]) -> list[tuple[str, list[int]]]:
    """Count the items by their state in either run; states that no item has are left out."""
    counts = Counter((pair.before.state, pair.after.state) for pair in shared)
    states = sorted({state for pair in counts for state in pair})
    return [(state, [counts[state, then] for then in states]) for state in states]


def _rank_correlation(shared: Sequence[Moved]) -> float | None:
    scores = [
        (pair.before.score, pair.after.score)
        for pair in shared
        if pair.before.score is not None and pair.after.score is not None
    ]
    one, two = [list(side) for side in zip(*scores, strict=True)] if scores else ([], [])
    if len(scores) < MIN_RANKED or len(set(one)) == 1 or len(set(two)) == 1:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(two))[0, 1])
