"""Every item of an audit as a line of text, so that none is left unaccounted for.

Lines come in blocks, which a browser lays out only when they come into view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.item import STATES, Item
from equipoise.report.rate import get_count, get_mapping
from equipoise.report.wording import format_count, format_number, format_visible, format_words

BLOCK = 500
"""Lines in a block."""
REASONS = 40
"""Most reasons with a list of their own; what is rarer shares one."""
RARE = "other reasons"


@dataclass(frozen=True)
class Roster:
    """Lines under one heading."""

    name: str
    count: int
    blocks: list[str]


def build_rosters(items: Sequence[Item]) -> list[Roster]:
    """List items by state, in the order given: score, p-value, verdict, source."""
    rosters = []
    for state in STATES:
        lines = [_write_item(item) for item in items if item.state == state]
        if lines:
            rosters.append(build_roster(format_words(state), lines))
    return rosters


def build_failures(items: Sequence[Item]) -> list[Roster]:
    """List what failed by its reason, the most frequent first."""
    failed: dict[str, list[Item]] = {}
    for item in items:
        if item.error is not None:
            failed.setdefault(item.error, []).append(item)
    reasons = sorted(failed, key=lambda reason: (-len(failed[reason]), reason))
    kept = reasons if len(reasons) <= REASONS else reasons[: REASONS - 1]
    rosters = [
        build_roster(
            format_visible(reason), [format_visible(item.source) for item in failed[reason]]
        )
        for reason in kept
    ]
    lines = [
        f"{format_visible(item.source)}: {format_visible(reason)}"
        for reason in reasons[len(kept) :]
        for item in failed[reason]
    ]
    return [*rosters, build_roster(RARE, lines)] if lines else rosters


def list_other_files(entry: object) -> list[tuple[str, str]]:
    """List the suffixes of files that are no pictures, with their counts, most frequent first."""
    counts = {
        str(name): count
        for name, number in get_mapping(entry).items()
        if (count := get_count(number)) is not None
    }
    suffixes = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
    return [(suffix, format_count(counts[suffix])) for suffix in suffixes]


def _write_item(item: Item) -> str:
    score, p_value = format_number(item.score), format_number(item.p_value, 2)
    state = format_words(item.state)
    return f"{score:>7}  {p_value:>7}  {state:<13}  {format_visible(item.source)}"


def build_roster(name: str, lines: Sequence[str]) -> Roster:
    """Cut lines into blocks under one heading."""
    blocks = ["\n".join(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK)]
    return Roster(name, len(lines), blocks)
