"""Which images of an audit are shown, where, and with which of their pictures.

The page shows every item, but not every picture: the flagged, the inconclusive and a sample of
the others beside their nearest training image, and small pictures in the table for as long as
their budget lasts. Pictures are read once, for all places together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Int64

from equipoise.report.gallery import OPENING, SHOWN, STRIP, spread
from equipoise.report.item import Item, load_items
from equipoise.report.survey import Survey
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


def build_exhibits(run: Run, survey: Survey) -> Exhibits:
    """Choose what is shown, and read that.

    Raises:
        RunError: when the items are missing or damaged.
    """
    flagged, inconclusive, quiet = (
        survey.list_rows(state) for state in ("memorized", "inconclusive", "not_memorized")
    )
    shown = _spread(flagged, SHOWN)
    first = flagged[:ROWS].tolist()
    rest = [row for row in first if row not in shown][:REST]
    undecided, sample = _spread(inconclusive, SHOWN), _spread(quiet, STRIP)
    table = survey.rank()[:ROWS].tolist()
    wanted = chain(first, shown, undecided, sample, table)
    items = {item.row: item for item in load_items(run, wanted)}
    opening = [item.row for item in list_distinct([items[row] for row in first])[:OPENING]]
    alike = _find_alike([items[row] for row in shown], [items[row] for row in (*first, *shown)])
    pictured = chain(opening, shown, rest, undecided, sample, table, alike.values())
    found = load_thumbnails(run, pictured)

    def show(rows: Sequence[int]) -> list[Exhibit]:
        return [Exhibit(items[row], found[row]) for row in rows]

    pictures = {row: found[other].sample for row, other in alike.items()}
    num_pictured = count_affordable(show(table), TABLE_BUDGET)
    plain = [Exhibit(items[row], Thumbnails()) for row in table[num_pictured:]]
    return Exhibits(
        opening=show(opening), num_flagged=len(flagged),
        flagged=[Exhibit(items[row], found[row], pictures.get(row, "")) for row in shown],
        rest=show(rest[: count_affordable(show(rest), REST_BUDGET)]),
        inconclusive=show(undecided), num_inconclusive=len(inconclusive),
        quiet=show(sample), num_quiet=len(quiet),
        table=show(table[:num_pictured]) + plain, num_pictured=num_pictured,
    )  # fmt: skip


def _spread(rows: Int64[np.ndarray, " row"], count: int) -> list[int]:
    places = np.asarray(spread(range(len(rows)), count), dtype=np.int64)
    return rows[places].tolist()


def _find_alike(shown: Sequence[Item], flagged: Sequence[Item]) -> dict[int, int]:
    """Find the row of the item that is named as most alike, for the rows of what is shown.

    Looked for among `flagged`; of very many flagged items not all were read.
    """
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
