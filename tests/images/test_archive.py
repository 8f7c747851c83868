import io
import tarfile

import pytest

from equipoise.images.archive import open_tar


def write_tar(path, contents):
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as file:
        for number, content in enumerate(contents):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def tar(tmp_path, encoded):
    """Ten samples of WebDataset: a picture, a caption and a class each, and a link."""
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as file:
        for key, content in enumerate(encoded[:10]):
            for suffix, held in ((".png", content), (".txt", b"a caption"), (".cls", b"3")):
                info = tarfile.TarInfo(f"part/{key:04d}{suffix}")
                info.size = len(held)
                file.addfile(info, io.BytesIO(held))
        link = tarfile.TarInfo("part/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return path


def test_members_are_read_in_place_and_others_are_counted(tar, value_of):
    shard = open_tar("t.tar", tar)
    assert len(shard) == 10
    assert shard.other_files == {".cls": 10, ".png": 1, ".txt": 10}
    found = list(shard.read(3, 9))
    assert [entry.source for entry in found] == [f"t.tar/part/{k:04d}.png" for k in range(3, 9)]
    assert [value_of(entry) for entry in found] == list(range(3, 9))


def test_wherever_a_tar_is_cut_nothing_is_lost_silently(tar, value_of):
    content = tar.read_bytes()
    whole = [value_of(entry) for entry in open_tar("t", tar).read(0, 10)]
    end = len(content.rstrip(b"\0"))
    for cut in range(700, end, 257):
        tar.write_bytes(content[:cut])
        shard = open_tar("t", tar)
        found = [value_of(entry) for entry in shard.read(0, len(shard))]
        read = [value for value in found if isinstance(value, int)]
        assert read == whole[: len(read)]
        assert len(found) > len(read), cut
        assert any("damaged tar" in str(value) or "cut short" in str(value) for value in found)


def test_a_broken_header_is_told_and_what_comes_before_is_read(tar, value_of):
    content = bytearray(tar.read_bytes())
    place = content.index(b"part/0004.png")
    content[place + 150] ^= 0x55  # in the checksum of the header
    tar.write_bytes(content)
    shard = open_tar("t", tar)
    *good, bad = [value_of(entry) for entry in shard.read(0, len(shard))]
    assert good == [0, 1, 2, 3]
    assert "damaged tar" in bad


def test_a_size_below_zero_ends_the_tar(tmp_path, encoded):
    path = write_tar(tmp_path / "a.tar", encoded[:2])
    whole = path.read_bytes()
    head = 1024  # of the second member
    for size in (-1, -512, -4096):
        raw = bytearray(whole)
        raw[head + 124 : head + 136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
        raw[head + 148 : head + 156] = b" " * 8
        raw[head + 148 : head + 156] = b"%06o\0 " % sum(raw[head : head + 512])
        path.write_bytes(raw)
        first, last = open_tar("a.tar", path).read(0, 2)
        assert (first.content, first.error) == (encoded[0], None)
        assert "a size below zero" in last.error


def test_a_tar_that_is_gone_since_it_was_listed_loses_no_picture(tmp_path, encoded):
    path = write_tar(tmp_path / "a.tar", encoded[:2])
    shard = open_tar("a.tar", path)
    path.unlink()
    found = list(shard.read(0, 2))
    assert [entry.source for entry in found] == ["a.tar/0.png", "a.tar/1.png"]
    assert all("No such file" in entry.error for entry in found)


def test_a_change_is_noticed(tar):
    before = list(open_tar("t", tar).describe())
    assert list(open_tar("t", tar).describe()) == before
    with tarfile.open(tar, "a") as file:
        file.addfile(tarfile.TarInfo("more.png"))
    assert list(open_tar("t", tar).describe()) != before
