"""The log of what a guard flagged: one Parquet file that later guards go on with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.runs import read_part
from equipoise.runs.atomic import write_atomic

SCHEMA = pa.schema(
    {
        "time": pa.string(),
        "seed": pa.string(),
        "prompt": pa.string(),
        "attempt": pa.int64(),
        "score": pa.float64(),
        "p_value": pa.float64(),
        "mode": pa.string(),
        "action": pa.string(),
    }
)


@dataclass(frozen=True)
class Flagged:
    """An output that was flagged, and what was done.

    Args:
        seed: What its noise came from; None where nobody knows.
        prompt: What it was asked to show; None where nothing was asked.
        attempt: 0 for the first draw, 1 for the first one drawn again.
        score: Higher = more memorized.
        p_value: Conformal p-value.
        mode: What the score was measured on.
        action: "flag", "resample", "block" or "call".
    """

    seed: str | None
    prompt: str | None
    attempt: int
    score: float
    p_value: float
    mode: str
    action: str
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def append_flagged(path: Path, rows: list[Flagged]) -> None:
    """Add rows to the log, whole or not at all.

    Raises:
        RunError: when the file that is there cannot be read.
    """
    if not rows:
        return
    table = pa.Table.from_pylist([vars(row) for row in rows], schema=SCHEMA)
    if path.exists():
        table = pa.concat_tables([read_part(path), table])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomic(path, sink.getvalue().to_pybytes())
