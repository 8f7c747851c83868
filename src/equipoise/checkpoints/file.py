"""Open a checkpoint file: tell what it is by its content, and read its weights.

The suffix says nothing: people rename files. What is no checkpoint is told apart by its first
bytes, so that the message can say what it is instead.
"""

import mmap
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from equipoise.checkpoints.archive import Weights, read_archive
from equipoise.checkpoints.snapshot import Snapshot, read_snapshot
from equipoise.errors import BadInputError, EquipoiseError, UnsafeFileError

PICKLE = b"\x80"
ZIP = b"PK"
# The first pickle of the legacy format is its mark, a long of ten bytes.
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
STRANGERS = {
    b"version https://git-lfs": "a Git LFS pointer, a note of where the weights lie; fetch them "
    "with `git lfs pull`",
    b"<!doctype": "a web page, perhaps of a login; download the file itself",
    b"<html": "a web page, perhaps of a login; download the file itself",
    b"gguf": "a GGUF file, which is not read; look for safetensors, or open it with diffusers and "
    "give the live pipeline to equipoise.load",
    b"\x89hdf": "an HDF5 file, which is not read; look for safetensors",
}
"""What people take for a checkpoint, by its first bytes in small letters."""


def open_checkpoint(path: Path) -> Snapshot | Weights:
    """Read the weights of a checkpoint file, without running what is in it.

    Returns:
        A `Snapshot` of EDM, or the `Weights` of a file of torch or safetensors.

    Raises:
        BadInputError: when it is no checkpoint; says what it is instead.
        UnsafeFileError: when it is damaged, or asks for more than weights.
    """
    if not path.is_file():
        raise BadInputError(f'"{path}" is no file. Give a checkpoint, or a folder of diffusers.')
    try:
        return _read(path)
    except EquipoiseError as error:
        told = str(error).removesuffix(f" [{error.slug}]")
        raise type(error)(f'"{path}" cannot be opened. {told}') from error


def _read(path: Path) -> Snapshot | Weights:
    if not path.stat().st_size:
        raise BadInputError("It is empty. Fetch it again.")
    with path.open("rb") as file:
        buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        head = bytes(buffer[:64])
        _refuse_strangers(head)
        if head[2 : 2 + len(LEGACY)] == LEGACY or head.startswith(ZIP):
            return read_archive(buffer, file)
    if head.startswith(PICKLE):
        return read_snapshot(buffer)
    if _is_safetensors(head):
        return _read_safetensors(path)
    raise BadInputError(
        "It is no checkpoint: EDM snapshots, files of torch (.pt, .pth, .ckpt, .bin) and "
        "safetensors are read."
    )


def _refuse_strangers(head: bytes) -> None:
    small = head.lstrip().lower()
    for mark, what in STRANGERS.items():
        if small.startswith(mark):
            raise BadInputError(f"It is {what}.")


def _is_safetensors(head: bytes) -> bool:
    """Tell by the length of the header, eight bytes, and the bracket that opens it."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _read_safetensors(path: Path) -> Weights:
    tensors: dict[str, Any] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UnsafeFileError(
            f"The safetensors file is damaged or ends early: {str(error).splitlines()[0]}. Fetch "
            "it again."
        ) from error
    if not tensors:
        raise BadInputError("It holds no tensors.")
    return Weights(tensors, "", tuple(tensors))
