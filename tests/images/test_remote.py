import fsspec
import pytest

from equipoise.errors import BadInputError, UnreadablePictureError
from equipoise.images import read_picture, reading
from equipoise.images.remote import RemoteFile, find_remote, is_url, list_remote


@pytest.fixture
def memory(encoded):
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("b/one.png", "b/c/two.png", "b/notes.txt"):
        system.pipe_file(f"/{name}", encoded[7])
    yield system
    system.store.clear()


def test_files_are_listed_below_a_url_with_sizes(memory, encoded):
    found = list_remote("memory://b")
    assert set(found) == {"one.png", "c/two.png", "notes.txt"}
    assert found["one.png"].size == len(encoded[7])
    assert set(list_remote("memory://b/c/two.png")) == {"two.png"}
    assert set(list_remote("memory://b/*.png")) == {"one.png"}


def test_a_picture_behind_a_url_is_read(memory):
    assert int(read_picture(find_remote("memory://b/one.png"), (1, 4, 4)).pixels.max()) == 7


def test_what_cannot_be_fetched_or_is_too_large_has_its_reason(memory, monkeypatch):
    with pytest.raises(UnreadablePictureError, match="cannot be fetched"):
        read_picture(find_remote("memory://b/missing.png"), (1, 4, 4))
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    for size in (None, 99):
        with pytest.raises(UnreadablePictureError, match="over the limit of 10"):
            read_picture(RemoteFile(memory, "/b/one.png", size), (1, 4, 4))


@pytest.mark.parametrize(
    ("url", "words"), [("memory://none", "cannot be listed"), ("nosuch://b", "cannot be listed")]
)
def test_what_cannot_be_listed_is_bad_input(memory, url, words):
    with pytest.raises(BadInputError, match=words):
        list_remote(url)


def test_a_missing_package_is_named(monkeypatch):
    def fail(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(BadInputError, match="pip install s3fs"):
        find_remote("s3://bucket")


def test_urls_are_told_from_paths():
    assert is_url("s3://bucket/a")
    assert not is_url("/tmp/a:b")
