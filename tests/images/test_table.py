import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.errors import BadInputError
from equipoise.images.table import NO_BYTES, open_arrow, open_parquet


def write(path, column, *, name="image", **options):
    pq.write_table(pa.table({"label": list(range(len(column))), name: column}), path, **options)
    return path


@pytest.fixture
def struct(encoded):
    """As `datasets` writes a column of images; two rows hold no picture."""
    column = [{"bytes": one, "path": "elsewhere.png"} for one in encoded]
    return [*column[:3], {"bytes": None, "path": "/etc/passwd"}, None, *column[5:]]


@pytest.mark.parametrize("span", [(0, 100), (0, 1), (29, 31), (33, 97), (99, 100)])
@pytest.mark.parametrize("layout", ["bytes", "struct"])
def test_exactly_the_wanted_rows_are_read_across_groups(
    tmp_path, encoded, struct, value_of, span, layout
):
    column = encoded if layout == "bytes" else struct
    shard = open_parquet("t", write(tmp_path / "t.parquet", column, row_group_size=30))
    assert (len(shard), shard.groups) == (100, (30, 30, 30, 10))
    expected = list(range(100))
    if layout == "struct":
        expected[3:5] = [NO_BYTES] * 2
    found = list(shard.read(*span))
    assert [value_of(entry) for entry in found] == expected[slice(*span)]
    assert [entry.source for entry in found] == [f"t#{row}" for row in range(*span)]


def test_an_arrow_stream_of_a_datasets_folder_is_read(tmp_path, struct, value_of):
    table = pa.table({"image": struct})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file:
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=17)
    shard = open_arrow("t", tmp_path / "t.arrow")
    found = [value_of(entry) for entry in shard.read(2, 41)]
    assert found == [2, NO_BYTES, NO_BYTES, *range(5, 41)]


def test_a_damaged_group_fails_row_by_row_and_the_others_are_read(tmp_path, encoded, value_of):
    path = write(
        tmp_path / "t.parquet", encoded, row_group_size=25, write_page_checksum=True,
        use_dictionary=False, compression="none",
    )  # fmt: skip
    shard = open_parquet("t", path)
    content = bytearray(path.read_bytes())
    place = content.index(encoded[30])
    content[place + 5] ^= 1
    path.write_bytes(content)
    found = list(shard.read(20, 60))
    assert [entry.source for entry in found] == [f"t#{row}" for row in range(20, 60)]
    assert [value_of(entry) for entry in found[:5]] == list(range(20, 25))
    assert all("damaged table" in entry.error for entry in found[5:30])
    assert [value_of(entry) for entry in found[30:]] == list(range(50, 60))


def test_a_table_that_ended_early_since_it_was_listed_loses_no_row(tmp_path, encoded):
    shard = open_parquet("t", write(tmp_path / "t.parquet", encoded))
    write(tmp_path / "t.parquet", encoded[:40])
    found = list(shard.read(30, 100))
    assert len(found) == 70
    assert [entry.error for entry in found[:10]] == [None] * 10
    assert {entry.error for entry in found[10:]} == {"damaged table: ends early"}
    (tmp_path / "t.parquet").unlink()
    assert [entry.error is None for entry in shard.read(0, 2)] == [False, False]


def test_the_column_is_found_or_asked_for(tmp_path, encoded):
    assert (
        open_parquet("t", write(tmp_path / "a.parquet", encoded, name="photo")).column == "photo"
    )
    table = pa.table({"mask": encoded, "image": encoded, "other": encoded})
    pq.write_table(table, tmp_path / "b.parquet")
    assert open_parquet("t", tmp_path / "b.parquet").column == "image"
    pq.write_table(table.drop(["image"]), tmp_path / "c.parquet")
    with pytest.raises(BadInputError, match=r'2 columns of bytes.*"mask", "other"'):
        open_parquet("t", tmp_path / "c.parquet")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "d.parquet")
    with pytest.raises(BadInputError, match="0 columns of bytes"):
        open_parquet("t", tmp_path / "d.parquet")
