import os
import random
import socket
import stat
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import BadInputError
from equipoise.images import SUFFIXES, Entry, list_pictures, listing
from equipoise.images.listing import list_matches


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sources(found):
    return [entry.source for entry in found.entries]


def errors(found):
    return {entry.source: entry.error for entry in found.entries if entry.error is not None}


def test_pictures_are_listed_by_the_bytes_of_their_paths_and_the_rest_is_counted(tmp_path):
    names = ["b/2.png", "b/10.PNG", "a.JPeG", "b.png", "Z.tif", "ü.gif", "c/d/e/f.webp", "plain",
             "x.tiff", "y.bmp", "z.jpg", "dot."]  # fmt: skip
    others = ["a.txt", "b/a.TXT", "b/meta.json", "Thumbs.db", ".DS_Store", "c/.hidden", "noise.ps"]
    for name in [*names, *others]:
        touch(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    found = list_pictures(tmp_path)
    assert sources(found) == sorted(names, key=str.encode)
    assert errors(found) == {}
    assert all(entry.content == tmp_path / entry.source for entry in found.entries)
    assert found.other_files == {"": 2, ".db": 1, ".json": 1, ".ps": 1, ".txt": 2}


def test_every_file_is_an_item_or_counted(tmp_path):
    rng = random.Random(0)
    count = 200
    for index in range(count):
        suffix = rng.choice([*SUFFIXES, ".PNG", ".txt", "", ".x"])
        touch(tmp_path / rng.choice("abc") / f"{index}{suffix}")
    found = list_pictures(tmp_path)
    assert len(found.entries) + sum(found.other_files.values()) == count
    assert found == list_pictures(tmp_path)


def test_names_are_kept_whatever_they_hold(tmp_path):
    names = ["<script>alert(1)<script>.png", "new\nline.png", "a" * 251 + ".png",
             "\u202egnp.exe.png", "=cmd.png", "%00.png", " .png", "a\\b.png"]  # fmt: skip
    for name in names:
        touch(tmp_path / name)
    found = list_pictures(tmp_path)
    assert sorted(sources(found)) == sorted(names)
    assert errors(found) == {}


def test_bytes_that_are_no_text_are_shown_and_the_file_is_found(tmp_path):
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    with open(raw, "wb"):
        pass
    touch(tmp_path / "café.png")
    found = list_pictures(tmp_path)
    # As bytes, c3 (é in UTF-8) comes before e9.
    assert sources(found) == ["café.png", "caf\\xe9.png"]
    assert all(entry.content.exists() for entry in found.entries)
    for entry in found.entries:
        entry.source.encode()
    os.rename(raw, raw[:-4] + b".\xe9\xe9")
    assert list_pictures(tmp_path).other_files == {".\\xe9\\xe9": 1}


def test_links_are_followed_to_files_inside_only(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "root-twin"
    touch(root / "real.png")
    touch(outside / "secret.png")
    (root / "deep").mkdir()
    links = {
        "deep/inside.jpg": "../real.png",
        "inside": "real.png",
        "absolute.png": str(root / "real.png"),
        "outside.png": "../root-twin/secret.png",
        "outside": str(outside / "secret.png"),
        "outside.txt": str(outside / "secret.png"),
        "dangling.png": "nowhere.png",
        "dangling.txt": "nowhere.png",
        "itself.png": "itself.png",
        "ping.png": "pong.png",
        "pong.png": "ping.png",
        "null.png": "/dev/null",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    found = list_pictures(root)
    good = ["absolute.png", "deep/inside.jpg", "inside", "real.png"]
    assert [entry.source for entry in found.entries if entry.error is None] == good
    wrong = errors(found)
    assert found.other_files == {".txt": 2}
    loops = ("itself.png", "ping.png", "pong.png")
    for name in ("outside.png", "outside", "null.png"):
        assert wrong.pop(name) == "link that leaves the folder"
    assert wrong.pop("dangling.png").endswith("No such file or directory")
    for name in loops:
        assert "Too many levels of symbolic links" in wrong.pop(name)
    assert wrong == {}


def test_links_to_folders_are_told_and_never_walked(tmp_path):
    root = tmp_path / "root"
    touch(root / "a" / "b" / "1.png")
    touch(root / "c" / "2.png")
    touch(tmp_path / "elsewhere" / "3.png")
    links = {
        "a/b/self": ".",
        "a/b/parent": "..",
        "a/top.v1": "..",
        "cousin.d": "a/b",
        "away": "../elsewhere",
        ".away": "../elsewhere",
        "above": "..",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    found = list_pictures(root)
    assert [entry.source for entry in found.entries if entry.error is None] == [
        "a/b/1.png",
        "c/2.png",
    ]
    loop = "link to a folder above it (a loop)"
    assert errors(found) == {
        "a/b/self": loop,
        "a/b/parent": loop,
        "a/top.v1": loop,
        "cousin.d": "link to a folder whose files are listed at their own place",
        "away": "link that leaves the folder",
        ".away": "link that leaves the folder",
        "above": "link that leaves the folder",
    }
    assert found.other_files == {}


def test_the_root_itself_may_be_a_link(tmp_path):
    touch(tmp_path / "real" / "1.png")
    (tmp_path / "real" / "2.png").symlink_to("1.png")
    (tmp_path / "link").symlink_to("real")
    found = list_pictures(tmp_path / "link")
    assert sources(found) == ["1.png", "2.png"]
    assert errors(found) == {}


def test_what_would_block_or_never_end_is_an_item_with_an_error(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo.png")
    os.mkfifo(tmp_path / "fifo.txt")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.json")
    (tmp_path / "link.png").symlink_to("fifo.txt")
    found = list_pictures(tmp_path)
    assert sources(found) == ["fifo.png", "fifo.txt", "link.png", "socket.json"]
    wrong = errors(found)
    assert "a FIFO; it is never opened" in wrong["fifo.png"]
    assert wrong["fifo.png"] == wrong["fifo.txt"]
    assert "socket" in wrong["socket.json"]
    assert "FIFO" in wrong["link.png"]


def test_devices_are_items_with_an_error(tmp_path, monkeypatch):
    """A list may name a real one; to make one in a folder takes rights, so its kind is faked."""
    (tmp_path / "list.txt").write_text("/dev/null\n")
    assert "character device" in errors(list_pictures(tmp_path / "list.txt"))["/dev/null"]
    touch(tmp_path / "a.png")
    touch(tmp_path / "zero")
    told = listing._entry_kind
    monkeypatch.setattr(
        listing, "_entry_kind", lambda e: stat.S_IFCHR if e.name == "zero" else told(e)
    )
    assert "character device" in errors(list_pictures(tmp_path))["zero"]


def test_a_folder_that_cannot_be_listed_is_an_item_with_an_error(tmp_path, monkeypatch):
    touch(tmp_path / "a.png")
    touch(tmp_path / "closed" / "b.png")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    found = list_pictures(tmp_path)
    assert sources(found) == ["a.png", "closed"]
    assert errors(found) == {"closed": "folder that cannot be listed: Permission denied"}
    with pytest.raises(BadInputError, match=r'closed" cannot be listed: Permission denied'):
        list_pictures(tmp_path / "closed")


@contextmanager
def nested(folder, name, *, depth):
    """Make folders in folders from within, as no path of any length is needed; and undo it.

    shutil.rmtree, which cleans up after the tests, would call itself for every folder.
    """
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        here, above = os.open(name, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open("a.png", os.O_CREAT, dir_fd=here))
    yield
    os.unlink("a.png", dir_fd=here)
    for _ in range(depth):
        here, below = os.open("..", os.O_RDONLY, dir_fd=here), here
        os.close(below)
        os.rmdir(name, dir_fd=here)
    os.close(here)


def test_folders_nested_deeper_than_python_calls_are_walked(tmp_path):
    depth = sys.getrecursionlimit()
    with nested(tmp_path, "d", depth=depth):
        found = sources(list_pictures(tmp_path))
    assert found == ["d/" * depth + "a.png"]


def test_a_path_longer_than_the_system_allows_is_an_item_with_an_error(tmp_path):
    touch(tmp_path / "a.png")
    with nested(tmp_path, "d" * 200, depth=25):  # 5,000 bytes, more than PATH_MAX
        found = list_pictures(tmp_path).entries
    assert [entry.error is None for entry in found] == [True, False]
    assert found[1].error == "folder that cannot be listed: File name too long"


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a", "a.eps", "a.json"])
def test_a_single_file_is_an_item_whatever_its_name(tmp_path, name):
    path = touch(tmp_path / name)
    found = list_pictures(path)
    assert found.entries == (Entry(name, path, None),)
    assert found.other_files == {}


def test_a_list_names_files_relative_to_its_folder(tmp_path):
    touch(tmp_path / "in" / "a.png")
    touch(tmp_path / "in" / "odd\u2028name")
    touch(tmp_path / "b.dat")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "in" / "fifo.png")
    absolute = str(tmp_path / "b.dat")
    pipe = f"file://{tmp_path}/in/fifo.png"  # the rules of paths hold for this URL
    lines = ["a.png", "", "../b.dat", "  ", absolute, f"file://{absolute}", pipe,
             "odd\u2028name", "missing.png", ".", "a.png", "loop.png", "fifo.png", "nul\0.png",
             "n" * 5000]  # fmt: skip
    file = tmp_path / "in" / "some.TXT"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found = list_pictures(file)
    assert sources(found) == sorted((n for n in lines if n.strip()), key=str.encode)
    good = [entry for entry in found.entries if entry.error is None]
    assert sorted(entry.source for entry in good) == sorted(
        ["a.png", "a.png", "../b.dat", absolute, f"file://{absolute}", "odd\u2028name"]
    )
    assert all(entry.content.is_file() for entry in good)
    wrong = errors(found)
    assert wrong["missing.png"] == "cannot be found: No such file or directory"
    assert wrong["."].startswith("a folder")
    assert "FIFO" in wrong["fifo.png"]
    assert "FIFO" in wrong[pipe]
    assert "symbolic links" in wrong["loop.png"]
    assert "null byte" in wrong["nul\0.png"]
    assert "too long" in wrong["n" * 5000]
    assert len(wrong) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_pattern_matches_names_that_are_no_text(tmp_path):
    raw = os.path.join(os.fsencode(tmp_path), b"bad\xff.png")
    with open(raw, "wb"):
        pass
    (entry,) = list_matches(f"{tmp_path}/*.png").entries
    assert entry.source == f"{tmp_path}/bad\\xff.png"
    assert os.fsencode(entry.content) == raw


def test_a_pattern_lists_a_picture_once_however_folders_are_linked(tmp_path):
    names = ["root/a.png", "root/b/c.png", "root/b/d.txt", "away/e.png", "root/.hidden/f.png"]
    for name in names:
        touch(tmp_path / name)
    for link, target in (("loop", "."), ("more", "."), ("b/up", ".."), ("out", "../away")):
        (tmp_path / "root" / link).symlink_to(target)
    found = list_matches(f"{tmp_path}/root/**/*.png")
    wanted = ["root/a.png", "root/b/c.png", "root/out/e.png"]
    assert sources(found) == [f"{tmp_path}/{name}" for name in wanted]
    assert sources(list_matches(f"{tmp_path}/root/**/b/*")) == [f"{tmp_path}/root/b/c.png"]
    assert sources(list_matches(f"{tmp_path}/root/out/*")) == [f"{tmp_path}/root/out/e.png"]


def test_a_pattern_may_be_relative(tmp_path, monkeypatch):
    touch(tmp_path / "a" / "b.png")
    monkeypatch.chdir(tmp_path)
    assert sources(list_matches("**/*.png")) == ["a/b.png"]


def test_an_empty_or_unreadable_list_is_refused(tmp_path):
    file = touch(tmp_path / "list.txt", b"\n \n\r\n")
    with pytest.raises(BadInputError, match=r'list\.txt" names no picture.*one path a line'):
        list_pictures(file)
    file.write_bytes(b"a\xff.png")
    with pytest.raises(BadInputError, match=r'list\.txt" cannot be read.*UTF-8'):
        list_pictures(file)


def test_nothing_to_list_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(BadInputError, match=r"holds no picture, only 0 .*Give another folder"):
        list_pictures(tmp_path)
    touch(tmp_path / "notes.md")
    touch(tmp_path / "sub" / ".hidden")
    with pytest.raises(BadInputError, match=r"holds no picture, only 2 .*\.png \.jpg"):
        list_pictures(tmp_path)
    (tmp_path / "gone.png").symlink_to("nowhere")
    for name in ("missing", "missing.txt", "gone.png", "n" * 300, "nul\0"):
        with pytest.raises(BadInputError, match=r"is not a folder.*Give a folder of pictures"):
            list_pictures(tmp_path / name)
    os.mkfifo(tmp_path / "fifo.txt")
    with pytest.raises(BadInputError, match="a FIFO; it is never opened"):
        list_pictures(tmp_path / "fifo.txt")


@settings(max_examples=40, deadline=None)
@given(
    # dots alone before ".png" make a hidden name without a suffix, which is no picture
    raw=st.binary(min_size=1, max_size=40).filter(
        lambda b: b"\0" not in b and b"/" not in b and b.strip(b".")
    )
)
def test_any_name_is_listed_once(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("any")
    with open(os.path.join(os.fsencode(folder), raw + b".png"), "wb"):
        pass
    (entry,) = list_pictures(folder).entries
    assert entry.source.encode().decode() == entry.source
    assert entry.content.read_bytes() == b""
    assert listing.show_path(entry.content.name) == entry.source
