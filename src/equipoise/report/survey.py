"""State and score of every item of an audit: nine bytes an item, so that millions fit.

Everything else about an item is read for the few that are shown, see `item`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64, UInt8

from equipoise.errors import RunError
from equipoise.report.item import STATES, read_parts
from equipoise.runs import ITEM_COLUMNS, Run

FAILED, UNJUDGED = STATES.index("failed"), STATES.index("unjudged")


@dataclass(frozen=True)
class Survey:
    """The items by row, in the order of the parts."""

    states: UInt8[np.ndarray, " item"]
    """Place in `STATES`."""
    scores: Float64[np.ndarray, " item"]
    """NaN where there is none."""
    reasons: Mapping[str, int]
    """How many items failed, by the reason."""
    with_nearest: bool
    """Whether any item has a nearest training image."""

    def count_states(self, rows: Int64[np.ndarray, " row"] | None = None) -> dict[str, int]:
        """Count the items in each of `STATES`, of all or of these rows."""
        chosen = self.states if rows is None else self.states[rows]
        counts = np.bincount(chosen, minlength=len(STATES)).tolist()
        return dict(zip(STATES, counts, strict=True))

    def rank(self) -> Int64[np.ndarray, " item"]:
        """Order by score, highest first; what has none comes later, what failed at the end."""
        falling = np.where(np.isnan(self.scores), np.inf, -self.scores)
        return np.lexsort((falling, self.states == FAILED))  # stable: ties by row

    def list_rows(self, state: str) -> Int64[np.ndarray, " row"]:
        """Return the rows in one state, as they are ranked."""
        ranked = self.rank()
        return ranked[self.states[ranked] == STATES.index(state)]


def survey_items(run: Run) -> Survey:
    """Read state and score of all items, one part at a time.

    Raises:
        RunError: when the items are missing, damaged, or lack a column every reader relies on.
    """
    states, scores, with_nearest = [], [], False
    reasons: Counter[str] = Counter()
    for table in read_parts(run, (*ITEM_COLUMNS, "nearest")):
        states.append(_find_states(table))
        scores.append(_as_numbers(table["score"]))
        reasons.update(map(str, table["error"].drop_null().to_pylist()))
        if "nearest" in table.column_names:
            with_nearest |= table["nearest"].null_count < len(table)
    survey = Survey(np.concatenate(states), np.concatenate(scores), reasons, with_nearest)
    if not len(survey.states):
        raise RunError(f'"{run.path}" holds no items. Repeat the run.')
    return survey


def _find_states(table: pa.Table) -> UInt8[np.ndarray, " item"]:
    states = np.full(len(table), UNJUDGED, dtype=np.uint8)
    verdicts = np.array(table["verdict"].to_pylist(), dtype=object)
    for place, state in enumerate(STATES[:3]):
        states[verdicts == state] = place
    states[table["error"].is_valid().to_numpy()] = FAILED
    return states


def _as_numbers(column: pa.ChunkedArray) -> Float64[np.ndarray, " item"]:
    """Take finite numbers; whatever else a file holds is none."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return np.full(len(column), np.nan)
    numbers = column.cast(pa.float64()).to_numpy().copy()
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers
