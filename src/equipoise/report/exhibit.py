"""Which images of an audit are shown, where, and with which of their pictures.

The page shows every item, but not every picture: the flagged, the inconclusive and a sample of
the others beside their nearest training image, and small pictures in the table for as long as
their budget lasts. Pictures are read once, for all places together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.gallery import OPENING, SHOWN, STRIP, spread
from equipoise.report.item import Item
from equipoise.report.thumbnail import Thumbnails, load_thumbnails
from equipoise.runs import Run

ROWS = 2000
"""Most items in the table; the rest is listed line by line."""
REST = 600
"""Most flagged images behind the fold."""
REST_BUDGET = 4_000_000
TABLE_BUDGET = 6_000_000
"""Most characters of pictures behind the fold and in the table."""


@dataclass(frozen=True)
class Exhibit:
    """An image as it is shown."""

    item: Item
    thumbnails: Thumbnails
    alike: str = ""
    """Picture of the flagged item whose units are most alike; empty where it is not shown."""


@dataclass(frozen=True)
class Exhibits:
    """Everything that is shown with a picture, each list with how many it was chosen from."""

    opening: list[Exhibit]
    flagged: list[Exhibit]
    rest: list[Exhibit]
    num_flagged: int
    inconclusive: list[Exhibit]
    num_inconclusive: int
    quiet: list[Exhibit]
    num_quiet: int
    table: list[Exhibit]
    num_pictured: int
    """Rows of the table whose pictures were within the budget."""


def build_exhibits(run: Run, ranked: Sequence[Item]) -> Exhibits:
    """Choose what is shown of the items, given in the order of their scores.

    Raises:
        RunError: when the items are missing or damaged.
    """
    flagged, inconclusive, quiet = (
        [item for item in ranked if item.state == state]
        for state in ("memorized", "inconclusive", "not_memorized")
    )
    opening = list_distinct(flagged)[:OPENING]
    shown = spread(flagged, SHOWN)
    rest = _leave_out(flagged, shown)[:REST]
    undecided, sample = spread(inconclusive, SHOWN), spread(quiet, STRIP)
    table = ranked[:ROWS]
    places = (opening, shown, rest, undecided, sample, table)
    alike = _find_alike(shown, flagged)
    rows = {item.row for place in places for item in place} | set(alike.values())
    found = load_thumbnails(run, rows)

    def show(items: Sequence[Item]) -> list[Exhibit]:
        return [Exhibit(item, found[item.row]) for item in items]

    def show_with_alike(items: Sequence[Item]) -> list[Exhibit]:
        pictures = {row: found[other].sample for row, other in alike.items()}
        return [Exhibit(i, found[i.row], pictures.get(i.row, "")) for i in items]

    num_pictured = count_affordable(show(table), TABLE_BUDGET)
    empty = Thumbnails()
    return Exhibits(
        opening=show(opening), flagged=show_with_alike(shown),
        rest=show(rest[: count_affordable(show(rest), REST_BUDGET)]), num_flagged=len(flagged),
        inconclusive=show(undecided), num_inconclusive=len(inconclusive),
        quiet=show(sample), num_quiet=len(quiet),
        table=show(table[:num_pictured]) + [Exhibit(f, empty) for f in table[num_pictured:]],
        num_pictured=num_pictured,
    )  # fmt: skip


def _leave_out(items: Sequence[Item], shown: Sequence[Item]) -> list[Item]:
    rows = {item.row for item in shown}
    return [item for item in items if item.row not in rows]


def _find_alike(shown: Sequence[Item], flagged: Sequence[Item]) -> dict[int, int]:
    """Find the row of the item that is named as most alike, for the rows of what is shown."""
    rows = {item.source: item.row for item in reversed(flagged)}
    return {item.row: rows[item.alike] for item in shown if item.alike in rows}


def list_distinct(items: Sequence[Item]) -> list[Item]:
    """Keep the first of each nearest training image, or, without one, of each picture."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.nearest or item.id, item)
    return list(first.values())


def count_affordable(exhibits: Sequence[Exhibit], budget: int) -> int:
    """Count how many exhibits, from the first on, have pictures within the budget."""
    for count, exhibit in enumerate(exhibits):
        budget -= exhibit.thumbnails.size
        if budget < 0:
            return count
    return len(exhibits)
