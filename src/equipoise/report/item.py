"""The rows of `items/*.parquet` as pages need them: light, without their pictures.

Every row is in exactly one state, so that the states add up to the items of the folder; those of
audits, which may be millions, are counted in `survey`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.errors import RunError
from equipoise.report.rate import get_count, get_number
from equipoise.runs import ITEM_COLUMNS, Run, read_part

STATES: tuple[str, ...] = ("memorized", "inconclusive", "not_memorized", "unjudged", "failed")
"""Unjudged: scored, but without a verdict this version knows."""
NUMBERS = (
    "score", "score_low", "score_high", "p_value", "q_value", "ratio", "twin_score",
    "likeness",
)  # fmt: skip
COUNTS = ("width", "height", "multiplicity", "group", "group_size")
WORDS = ("verdict", "error", "format", "mode", "nearest", "label", "split", "kind", "alike")
COLUMNS = tuple(dict.fromkeys((*ITEM_COLUMNS, *NUMBERS, *COUNTS, *WORDS, "named")))


@dataclass(frozen=True)
class Item:
    """One image: its evidence, its verdict and, where known, the truth; every text is foreign.

    What the runs of a kind do not have is None.
    """

    row: int
    """Position among all items; also finds its pictures."""
    id: str
    source: str
    score: float | None
    score_low: float | None
    score_high: float | None
    p_value: float | None
    q_value: float | None
    verdict: str | None
    error: str | None
    width: int | None
    height: int | None
    format: str | None
    mode: str | None
    nearest: str | None
    """Source of the nearest training image, or its index."""
    ratio: float | None
    """Distance to the nearest training image over the mean of the next ones."""
    label: str | None
    """copy, grey or novel: what the ratio says."""
    alike: str | None
    """Source of the flagged item whose units are most alike."""
    likeness: float | None
    """Cosine of the two."""
    split: str | None
    kind: str | None
    """How the nearest training image was planted; among duplicates, how two are alike."""
    multiplicity: int | None
    """How often the nearest training image was planted."""
    twin_score: float | None
    named: bool | None
    """Of an adapter's audit: whether a training image is named."""
    group: int | None
    """Of duplicates."""
    group_size: int | None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.error is not None:
            return "failed"
        return self.verdict if self.verdict in STATES[:3] else "unjudged"

    @property
    def flagged(self) -> bool:
        """Whether the verdict says memorized."""
        return self.state == "memorized"


def load_items(run: Run, rows: Iterable[int] | None = None) -> list[Item]:
    """Read items of a run without their pictures, in the order of its parts.

    Args:
        run: The run.
        rows: Positions among all items; None takes all, which millions are too many for.

    Raises:
        RunError: when the items are missing, damaged, or lack a column every reader relies on.
    """
    if rows is not None:
        return [_build_item(row, entry) for row, entry in read_rows(run, COLUMNS, rows)]
    entries = [row for table in read_parts(run, COLUMNS) for row in table.to_pylist()]
    if not entries:
        raise RunError(f'"{run.path}" holds no items. Repeat the run.')
    return [_build_item(index, entry) for index, entry in enumerate(entries)]


def read_parts(run: Run, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read part after part, of each only these columns, as far as it has them.

    Raises:
        RunError: when a part is missing or damaged, or lacks a column every reader relies on.
    """
    for part in _list_parts(run):
        yield _read_columns(part, columns)


def read_rows(
    run: Run, columns: Sequence[str], rows: Iterable[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read single rows by their positions, in ascending order; of other parts only the length.

    Raises:
        RunError: as `read_parts`.
    """
    wanted = np.unique(np.fromiter(rows, dtype=np.int64))
    first = 0
    for part in _list_parts(run):
        stop = first + _count_rows(part)
        inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, stop)]
        if len(inside):
            table = _read_columns(part, columns).take(inside - first)
            yield from zip(inside.tolist(), table.to_pylist(), strict=True)
        first = stop


def _list_parts(run: Run) -> list[Path]:
    parts = run.list_parts()
    if not parts:
        raise RunError(f'"{run.path}" holds no items: items/part-*.parquet is missing.')
    return parts


def _count_rows(part: Path) -> int:
    with _told_as_damage(part):
        return pq.read_metadata(part).num_rows


def _read_columns(part: Path, columns: Sequence[str]) -> pa.Table:
    with _told_as_damage(part):
        names = pq.read_schema(part).names
        table = read_part(part, [name for name in columns if name in names])
        table.validate(full=True)  # texts that are no UTF-8
    missing = [name for name in ITEM_COLUMNS if name not in names]
    if missing:
        raise RunError(
            f'The items in "{part}" cannot be read: {", ".join(missing)} missing. '
            f"Needed are {', '.join(ITEM_COLUMNS)}. Repeat the run."
        )
    return table


@contextmanager
def _told_as_damage(part: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f'The items in "{part}" cannot be read: the file is missing or damaged. Copy the '
            "whole folder again, or repeat the run."
        ) from error


def rank(items: Sequence[Item]) -> list[Item]:
    """Order by score, highest first; what has none comes last, what failed at the very end."""
    return sorted(items, key=_get_place)


def list_scores(items: Sequence[Item], label: str) -> list[float]:
    """List the scores of the items with this label."""
    return [item.score for item in items if item.label == label and item.score is not None]


def _get_place(item: Item) -> tuple[bool, float, int]:
    score = float("-inf") if item.score is None else item.score
    return item.state == "failed", -score, item.row


def _build_item(index: int, row: Mapping[str, Any]) -> Item:
    fields: dict[str, Any] = {name: get_number(row.get(name)) for name in NUMBERS}
    fields |= {name: get_count(row.get(name)) for name in COUNTS}
    fields |= {name: _get_word(row.get(name)) for name in WORDS}
    named = row.get("named")
    fields["named"] = named if isinstance(named, bool) else None
    return Item(row=index, id=str(row["id"]), source=str(row["source"]), **fields)


def _get_word(entry: object) -> str | None:
    return None if entry is None else str(entry)
