import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from equipoise.runs.atomic import write_atomic


def test_a_file_is_written_whole_with_the_folders_above_it(tmp_path):
    path = tmp_path / "a" / "b" / "run.json"
    write_atomic(path, b"first")
    assert path.read_bytes() == b"first"
    write_atomic(path, b"2")
    assert path.read_bytes() == b"2"
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def fail(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("old", [b"old", None], ids=["over an old file", "where none was"])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_write_that_fails_leaves_no_half_file(tmp_path, monkeypatch, old, where):
    path = tmp_path / "run.json"
    if old:
        write_atomic(path, old)
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[where], fail)
        with pytest.raises(OSError, match="No space left") as caught:
            write_atomic(path, b"new content that does not fit")
        assert caught.value.filename == str(path)
    assert path.exists() == bool(old)
    assert not old or path.read_bytes() == old
    assert {p.name for p in tmp_path.iterdir()} == ({"run.json"} if old else set())
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_content_is_on_the_disk_before_the_name_is_taken(tmp_path, monkeypatch):
    path, events = tmp_path / "run.json", []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        events.append("flush")
        fsync(descriptor)

    def note_replace(self, target):
        assert self.read_bytes() == b"content"
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomic(path, b"content")
    assert events == ["flush", "rename", "flush"]


def test_writers_at_once_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "run.json"
    contents = [bytes([letter]) * 10_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(lambda content: [write_atomic(path, content) for _ in range(5)], contents))
    assert path.read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
