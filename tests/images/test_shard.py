from equipoise.images import Entry
from equipoise.images.remote import RemoteFile
from equipoise.images.shard import FileShard, explain, measure_size


def test_files_are_entries_in_order_told_by_source_size_or_error(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    bad = Entry("b", tmp_path / "b", "a link")
    shard = FileShard((Entry("a", tmp_path / "a", None), bad))
    assert list(shard.read(1, 2)) == [bad]
    assert list(shard.describe()) == ["1|a|5", "1|b|a link"]


def test_sizes_are_known_or_not(tmp_path):
    assert measure_size(tmp_path / "missing") == -1
    assert measure_size(RemoteFile(None, "x", 7)) == 7
    assert measure_size(RemoteFile(None, "x")) == -1


def test_an_error_without_words_is_named():
    assert explain(KeyError()) == "KeyError"
    assert explain(ValueError("two\nlines")) == "two lines"
