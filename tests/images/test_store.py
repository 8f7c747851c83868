import io
import tarfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.errors import BadInputError
from equipoise.images import open_store


@pytest.fixture
def shards(tmp_path, encoded):
    """Five pictures in a table, then three in a tar."""
    root = tmp_path / "shards"
    root.mkdir()
    pq.write_table(pa.table({"image": encoded[:5]}), root / "a.parquet", row_group_size=2)
    with tarfile.open(root / "b.tar", "w") as file:
        for value in range(5, 8):
            info = tarfile.TarInfo(f"{value}.png")
            info.size = len(encoded[value])
            file.addfile(info, io.BytesIO(encoded[value]))
    (root / "cache-1.arrow").write_bytes(b"of datasets")
    (root / "state.json").write_text("{}")
    return root


def values(store, value_of, start=0, stop=None):
    return [value_of(entry) for entry in store.read(start, len(store) if stop is None else stop)]


def test_a_folder_of_shards_is_one_store(shards, value_of):
    store = open_store(shards)
    assert values(store, value_of) == list(range(8))
    assert values(store, value_of, 3, 7) == [3, 4, 5, 6]
    assert [e.source for e in store.read(4, 6)] == ["a.parquet#4", "b.tar/5.png"]
    assert store.other_files == {".arrow": 1, ".json": 1}


def test_a_folder_with_pictures_is_these_pictures_alone(shards, encoded, value_of):
    (shards / "x.png").write_bytes(encoded[50])
    store = open_store(shards)
    assert values(store, value_of) == [50]
    assert store.other_files[".parquet"] == 1


def test_patterns_and_lists_name_pictures_and_shards(shards, encoded, value_of, tmp_path):
    (shards / "x.png").write_bytes(encoded[50])
    assert values(open_store(f"{shards}/*"), value_of) == [*range(8), 50]
    assert values(open_store(f"{tmp_path}/**/b.*"), value_of) == [5, 6, 7]
    with pytest.raises(BadInputError, match="No picture matches"):
        open_store(f"{shards}/*.webp")
    (tmp_path / "list.txt").write_text("shards/x.png\nshards/b.tar\nshards\n")
    *found, folder = sorted(values(open_store(tmp_path / "list.txt"), value_of), key=str)
    assert found == [5, 50, 6, 7]
    assert "a folder" in folder


def test_an_empty_name_is_not_the_folder_one_is_in():
    with pytest.raises(BadInputError, match="The name of the images is empty"):
        open_store("")


def test_a_url_is_listed_as_a_folder_is(shards, encoded, value_of):
    assert values(open_store(f"file://{shards}"), value_of) == list(range(8))
    system = fsspec.filesystem("memory")
    system.store.clear()
    for path in shards.iterdir():
        system.pipe_file(f"/bucket/deep/{path.name}", path.read_bytes())
    local, remote = open_store(shards), open_store("memory://bucket")
    assert values(remote, value_of, 2, 7) == [2, 3, 4, 5, 6]
    assert [e.source for e in remote.read(0, 8)] == [f"deep/{e.source}" for e in local.read(0, 8)]
    assert values(open_store("memory://bucket/deep/a.parquet"), value_of) == list(range(5))
    system.pipe_file("/bucket/x.png", encoded[50])
    assert values(open_store("memory://bucket"), value_of) == [50]
    system.store.clear()
    system.pipe_file("/bucket/notes.txt", b"")
    system.pipe_file("/bucket/notes2.txt", b"")
    with pytest.raises(BadInputError, match="only 2 other files"):
        open_store("memory://bucket")
    system.store.clear()


def test_a_shard_that_cannot_be_opened_is_an_item_with_its_reason(shards, value_of):
    (shards / "a.parquet").write_bytes(b"PAR1 and nothing more")
    first, *rest = values(open_store(shards), value_of)
    assert isinstance(first, str)
    assert rest == [5, 6, 7]
    with pytest.raises(BadInputError, match=r'"a.parquet" cannot be read as parquet'):
        open_store(shards / "a.parquet")


def test_empty_tables_are_no_items(tmp_path):
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "a.parquet")
    with pytest.raises(BadInputError, match="tables are empty"):
        open_store(tmp_path / "a.parquet")


def test_a_store_that_changed_is_another(tmp_path, encoded):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(encoded[0])
    before = open_store(tmp_path).hash()
    assert open_store(tmp_path).hash() == before
    (tmp_path / "b.png").write_bytes(encoded[0] + b"x")
    assert open_store(tmp_path).hash() != before
    (tmp_path / "b.png").write_bytes(encoded[0])
    assert open_store(tmp_path).hash() == before
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert open_store(tmp_path).hash() != before
