"""The rows of `items/*.parquet` as a demo page needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from equipoise.errors import RunError
from equipoise.report.rate import get_count, get_number
from equipoise.runs import Run


@dataclass(frozen=True)
class Item:
    """One output of the model: its evidence, its verdict and, where known, the truth."""

    row: int
    """Position among all items; also the row of its pictures."""
    id: str
    source: str
    score: float | None
    score_low: float | None
    score_high: float | None
    p_value: float | None
    q_value: float | None
    verdict: str | None
    error: str | None
    label: str | None
    """copy, grey or novel: what the distance to the training images says."""
    split: str | None
    nearest: int | None
    """Index of the nearest training image."""
    ratio: float | None
    """Distance to the nearest training image over the mean of the next ones."""
    kind: str | None
    multiplicity: int | None
    """How often the nearest training image was planted."""
    twin_score: float | None

    @property
    def flagged(self) -> bool:
        """Whether the verdict says memorized."""
        return self.verdict == "memorized"


NUMBERS = (
    "score", "score_low", "score_high", "p_value", "q_value", "ratio", "twin_score",
)  # fmt: skip
COUNTS = ("nearest", "multiplicity")
WORDS = ("verdict", "error", "label", "split", "kind")


def load_items(run: Run) -> list[Item]:
    """Read all items of a run, in the order of its pictures.

    Raises:
        RunError: when the items are missing or damaged.
    """
    try:
        rows = run.read_items().to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f'The items of "{run.path}" cannot be read: items/*.parquet is missing or damaged. '
            "Copy the whole folder again, or repeat the run."
        ) from error
    return [_build_item(index, row) for index, row in enumerate(rows)]


def list_scores(items: Sequence[Item], label: str) -> list[float]:
    """List the scores of the items with this label."""
    return [item.score for item in items if item.label == label and item.score is not None]


def _build_item(index: int, row: dict[str, Any]) -> Item:
    fields: dict[str, Any] = {name: get_number(row.get(name)) for name in NUMBERS}
    fields |= {name: get_count(row.get(name)) for name in COUNTS}
    fields |= {name: _get_word(row.get(name)) for name in WORDS}
    return Item(row=index, id=str(row["id"]), source=str(row["source"]), **fields)


def _get_word(entry: object) -> str | None:
    return None if entry is None else str(entry)
