import os

import pytest
import torch
from safetensors.torch import save_file

from equipoise.checkpoints.archive import Weights
from equipoise.checkpoints.file import open_checkpoint
from equipoise.checkpoints.snapshot import Snapshot
from equipoise.errors import BadInputError, UnsafeFileError


def test_the_content_and_not_the_suffix_says_what_it_is(tmp_path, tiny_snapshot):
    state = {"w": torch.arange(4.0)}
    (tmp_path / "a.bin").write_bytes(tiny_snapshot)
    torch.save(state, tmp_path / "b.pkl")
    torch.save(state, tmp_path / "c", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "d.ckpt")
    assert isinstance(open_checkpoint(tmp_path / "a.bin"), Snapshot)
    for name in ("b.pkl", "c", "d.ckpt"):
        found = open_checkpoint(tmp_path / name)
        assert isinstance(found, Weights)
        assert torch.equal(found.tensors["w"], state["w"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "It is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"hello, world", "no checkpoint"),
        (b"\x80\x04N.", "no averaged network"),
        (b"\x80\x04", "ends early"),
        (b"PK\x03\x04", "ends early"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{" + b" " * 9, "ends early"),
    ],
)
def test_a_wrong_file_gives_one_clear_sentence(tmp_path, content, told):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=told) as caught:
        open_checkpoint(path)
    assert str(caught.value).count("\n") == 0
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_told(tmp_path, tiny_snapshot, share):
    torch.save({"w": torch.ones(1000)}, tmp_path / "t.pt")
    save_file({"w": torch.ones(1000)}, tmp_path / "t.safetensors")
    files = [(tmp_path / name).read_bytes() for name in ("t.pt", "t.safetensors")]
    for data in [tiny_snapshot, *files]:
        (tmp_path / "cut").write_bytes(data[: int(share * len(data))])
        with pytest.raises(UnsafeFileError, match=r"ends early|damaged"):
            open_checkpoint(tmp_path / "cut")


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(BadInputError, match="is no file"):
            open_checkpoint(path)
