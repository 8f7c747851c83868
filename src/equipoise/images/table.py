"""Tables with a column of encoded pictures: Parquet, and the Arrow streams of `datasets` folders.

The column is one of bytes, or of `datasets`' `{bytes, path}` (whose path is never followed). Rows
are read a few at a time, so a row group may be larger than the memory. The pages' checksums are
verified where the file has them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.errors import BadInputError, quote
from equipoise.images.listing import Entry, Place
from equipoise.images.shard import explain, measure_size, open_file

COLUMNS = ("image", "img", "picture", "jpg", "jpeg", "png", "webp", "bytes")
"""Names looked for where several columns hold bytes, in this order."""
ROWS = 32  # read at a time
BUFFER = 2**20  # bytes of a column read at a time
NO_BYTES = "the row holds no bytes of a picture"


@dataclass(frozen=True)
class TableShard:
    """The rows of one file; `groups` counts those of each part that is damaged by itself."""

    source: str
    place: Place
    column: str
    groups: tuple[int, ...]
    read_group: Callable[[BufferedReader, int, str], Iterator[pa.RecordBatch]]

    def __len__(self) -> int:
        return sum(self.groups)

    def describe(self) -> Iterator[str]:
        """Say source, size, column and rows."""
        yield f"{self.source}|{measure_size(self.place)}|{self.column}|{len(self)}"

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the rows as encoded bytes; in what is damaged every row has the reason."""
        first = 0
        for group, count in enumerate(self.groups):
            low, high = max(start, first), min(stop, first + count)
            if low < high:
                yield from self._read_rows(group, first, low, high)
            first += count

    def _read_rows(self, group: int, first: int, low: int, high: int) -> Iterator[Entry]:
        """Yield rows `low` to `high` of a group that begins with row `first`."""
        row, reason = low, "ends early"
        try:
            with open_file(self.place) as file:
                for batch in self.read_group(file, group, self.column):
                    skipped = row - first
                    first += batch.num_rows
                    if skipped >= batch.num_rows:
                        continue
                    wanted = batch.column(0).slice(skipped, high - row)
                    wanted.validate(full=True)  # offsets of hostile files lead anywhere
                    for content in wanted.to_pylist():
                        yield self._build_entry(row, content)
                        row += 1
                    if row == high:
                        return
        except Exception as error:  # pyarrow promises no type
            reason = explain(error)
        for lost in range(row, high):
            yield Entry(f"{self.source}#{lost}", b"", f"damaged table: {reason}")

    def _build_entry(self, row: int, content: Any) -> Entry:  # noqa: ANN401 - any cell
        held = content.get("bytes") if isinstance(content, dict) else content
        error = None if isinstance(held, bytes) and held else NO_BYTES
        return Entry(f"{self.source}#{row}", held or b"", error)


def open_parquet(source: str, place: Place) -> TableShard:
    """Read the foot of a Parquet file.

    Raises:
        BadInputError: when it has no column of pictures.
    """
    with open_file(place) as file:
        about = pq.ParquetFile(file)
        groups = [about.metadata.row_group(i).num_rows for i in range(about.num_row_groups)]
        column = _find_column(source, about.schema_arrow)
    return TableShard(source, place, column, tuple(groups), _read_parquet)


def open_arrow(source: str, place: Place) -> TableShard:
    """Read an Arrow stream once, to count its rows.

    Raises:
        BadInputError: when it has no column of pictures.
    """
    with open_file(place) as file, pa.ipc.open_stream(file) as stream:
        column = _find_column(source, stream.schema)
        count = sum(batch.num_rows for batch in stream)
    return TableShard(source, place, column, (count,), _read_arrow)


def _read_parquet(file: BufferedReader, group: int, column: str) -> Iterator[pa.RecordBatch]:
    table = pq.ParquetFile(file, buffer_size=BUFFER, page_checksum_verification=True)
    leaf = (
        f"{column}.bytes" if pa.types.is_struct(table.schema_arrow.field(column).type) else column
    )
    yield from table.iter_batches(ROWS, row_groups=[group], columns=[leaf])


def _read_arrow(file: BufferedReader, group: int, column: str) -> Iterator[pa.RecordBatch]:
    del group  # a stream is one
    with pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield batch.select([column])


def _find_column(source: str, schema: pa.Schema) -> str:
    """Name the column of pictures.

    Raises:
        BadInputError: when there is none, or one of several would have to be guessed.
    """
    found = [field.name for field in schema if _holds_bytes(field.type)]
    known = [name for name in COLUMNS if name in found]
    if known or len(found) == 1:
        return (known or found)[0]
    raise BadInputError(
        f"{quote(source)} has {len(found)} columns of bytes among {len(schema.names)}: "
        f"{', '.join(map(quote, (found or schema.names)[:5]))}. Name the one with the pictures "
        f"{' or '.join(COLUMNS[:2])}."
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
