import pytest

from equipoise.errors import RunError
from equipoise.guarding.flagged import SCHEMA, Flagged, append_flagged
from equipoise.runs import read_part

ROW = Flagged("3|a", None, 0, 2.5, 0.01, "free", "block")


def test_later_rows_join_earlier_ones(tmp_path):
    path = tmp_path / "log.parquet"
    append_flagged(path, [])
    assert not path.exists()
    append_flagged(path, [ROW])
    append_flagged(path, [ROW, ROW])
    table = read_part(path)
    assert table.schema.names == SCHEMA.names
    assert table["seed"].to_pylist() == ["3|a"] * 3
    assert table["prompt"].null_count == 3


def test_a_damaged_log_is_refused_and_not_overwritten(tmp_path):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(RunError):
        append_flagged(path, [ROW])
    assert path.read_bytes() == b"no table"
