"""Items of a run as lines of text, so that none is left unaccounted for.

The page of an audit lists `LISTED` of them and counts the others, which are rows of its run. Lines
come in blocks, which a browser lays out only when they come into view.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equipoise.report.item import STATES, Item
from equipoise.report.rate import get_count, get_mapping
from equipoise.report.wording import format_count, format_number, format_visible, format_words

LISTED = 20_000
"""Most lines of items, and of failed items: a browser cannot show millions."""
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
    """Items under this heading, listed or not."""
    blocks: list[str]
    listed: int


def build_rosters(items: Sequence[Item], counts: Mapping[str, int]) -> list[Roster]:
    """List items by state, in the order given: score, p-value, verdict, source.

    Args:
        items: The items that are listed.
        counts: How many there are of each state, those not listed included.
    """
    return [
        build_roster(
            format_words(state), [_write_item(item) for item in items if item.state == state],
            count=counts[state],
        )
        for state in STATES if counts[state]
    ]  # fmt: skip


def build_failures(items: Sequence[Item], counts: Mapping[str, int] | None = None) -> list[Roster]:
    """List what failed by its reason, the most frequent first.

    Args:
        items: The items that are listed.
        counts: How many failed for each reason, those not listed included; None: all are listed.
    """
    failed: dict[str, list[Item]] = {}
    for item in items:
        if item.error is not None:
            failed.setdefault(item.error, []).append(item)
    if counts is None:
        counts = {reason: len(listed) for reason, listed in failed.items()}
    reasons = sorted(counts, key=lambda reason: (-counts[reason], reason))
    kept = reasons if len(reasons) <= REASONS else reasons[: REASONS - 1]
    rosters = [
        build_roster(
            format_visible(reason),
            [format_visible(item.source) for item in failed.get(reason, [])],
            count=counts[reason],
        )
        for reason in kept
    ]
    rare = reasons[len(kept) :]
    lines = [
        f"{format_visible(item.source)}: {format_visible(reason)}"
        for reason in rare
        for item in failed.get(reason, [])
    ]
    if rare:
        rosters.append(build_roster(RARE, lines, count=sum(counts[reason] for reason in rare)))
    return rosters


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


def build_roster(name: str, lines: Sequence[str], *, count: int | None = None) -> Roster:
    """Cut lines into blocks under one heading; None: they are all there are."""
    blocks = ["\n".join(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK)]
    return Roster(name, len(lines) if count is None else count, blocks, len(lines))
