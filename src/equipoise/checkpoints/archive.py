r"""What `torch.save` writes: `.pt`, `.pth`, `.ckpt`, `.bin`, new (a zip) and old (a pickle).

The zip holds one pickle and the raw numbers of every storage, each uncompressed. The pickle is
read symbolically, so that training checkpoints with arguments and callbacks open too, without
any of their classes.
"""

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equipoise.checkpoints.storage import (
    REBUILD_PARAMETER,
    REBUILD_TENSOR,
    STORAGES,
    Storage,
    build_tensor,
    copy_storage,
    is_call,
    read_legacy,
    read_storage_key,
    read_view,
)
from equipoise.checkpoints.symbolic import ORDERED_DICT, read_pickle
from equipoise.errors import BadInputError, UnsafeFileError, quote

LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint"
ALLOWED = STORAGES | {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_PARAMETER,
    ("torch", "Size"),
    # What training leaves beside the weights: read as symbols, and left out.
    ("argparse", "Namespace"),
    (LIGHTNING, "ModelCheckpoint"),
    (LIGHTNING.replace("_checkpoint", ""), "ModelCheckpoint"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}
AVERAGED = ("ema", "model_ema", "ema_state_dict")
PLAIN = ("state_dict", "model", "module", "model_state_dict")
MAX_TENSORS = 100_000
DAMAGE = (
    zipfile.BadZipFile, ValueError, OSError, NotImplementedError, OverflowError, struct.error,
)  # fmt: skip
"""What reading the table of a damaged zip can raise."""


@dataclass(frozen=True)
class Weights:
    """Named tensors of a file, and under which of its entries they lay ("" for the whole)."""

    tensors: dict[str, Tensor]
    entry: str
    entries: tuple[str, ...]


def read_archive(buffer: memoryview, file: Any) -> Weights:  # noqa: ANN401 - a binary file
    """Read the weights of a file of `torch.save`, averaged ones before plain ones.

    Args:
        buffer: The file's bytes.
        file: The file itself, for its table of contents.

    Raises:
        BadInputError: when it holds no dict of named tensors.
        UnsafeFileError: when it asks for more than weights, or contradicts itself.
    """
    if buffer[:2] == b"PK":
        value, find = _open_zip(buffer, file)
    else:
        saved = read_legacy(buffer, allowed=ALLOWED)
        value, find = saved.value, saved.storages.__getitem__
    return choose_weights(value, find)


def choose_weights(value: object, find: Callable[[str], Storage]) -> Weights:
    """Choose and build the weights among what a file holds."""
    entries = tuple(str(key)[:80] for key in value) if isinstance(value, dict) else ()
    for entry in (*AVERAGED, *PLAIN, ""):
        state = _find_state(value, entry)
        if state is not None:
            return Weights(_build(state, find), entry, entries)
    raise BadInputError(
        "The file holds no weights by name: a dict of tensors, or one under "
        f"{', '.join((*AVERAGED, *PLAIN))}, was expected."
    )


def _find_state(value: object, entry: str) -> dict[str, Any] | None:
    """Return the dict of named tensors under an entry, if there is one."""
    if not isinstance(value, dict):
        return None
    state = value.get(entry) if entry else value
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        return None
    return state if any(map(_is_tensor, state.values())) else None


def _is_tensor(symbol: object) -> bool:
    return is_call(symbol, REBUILD_TENSOR) or is_call(symbol, REBUILD_PARAMETER)


def _build(state: dict[str, Any], find: Callable[[str], Storage]) -> dict[str, Tensor]:
    built: dict[str, Tensor] = {}
    tensors: dict[str, Tensor] = {}
    for name, symbol in list(state.items())[:MAX_TENSORS]:
        if not _is_tensor(symbol):
            continue
        view = read_view(symbol)
        dtype, key, count = read_storage_key(view.storage)
        if key not in built:
            built[key] = copy_storage(_check(find(key), dtype, count))
        tensors[name] = build_tensor(view, built[key])
    return tensors


def _check(storage: Storage, dtype: torch.dtype, count: int) -> Storage:
    if storage.dtype != dtype or len(storage.data) != count * dtype.itemsize:
        raise UnsafeFileError(
            f"The file is damaged: {count} numbers of {dtype} are announced, and "
            f"{len(storage.data)} bytes are there."
        )
    return storage


def _open_zip(buffer: memoryview, file: Any) -> tuple[Any, Callable[[str], Storage]]:  # noqa: ANN401
    members = _list_members(file, len(buffer))
    pickles = [name for name in members if name.rsplit("/", 1)[-1] == "data.pkl"]
    if len(pickles) != 1:
        raise BadInputError(
            f"The zip is no checkpoint of torch: {len(pickles)} entries are called data.pkl, and "
            "one was expected."
        )
    root = pickles[0].removesuffix("data.pkl")
    pickle = read_pickle(_cut(buffer, members[pickles[0]]), allowed=ALLOWED)
    declared = {}
    for reference in pickle.references:
        dtype, key, _ = read_storage_key(reference)
        if declared.setdefault(key, dtype) != dtype:
            raise UnsafeFileError("The pickle describes one storage in two ways.")
    if f"{root}byteorder" in members:
        order = bytes(_cut(buffer, members[f"{root}byteorder"])[:8])
        if order != b"little":
            raise BadInputError("The checkpoint has the byte order of another kind of machine.")

    def find(key: str) -> Storage:
        name = f"{root}data/{key}"
        if name not in members:
            raise UnsafeFileError(f"The file is damaged: the entry {quote(name)} is missing.")
        return Storage(declared[key], _cut(buffer, members[name]))

    return pickle.value, find


def _list_members(file: Any, size: int) -> dict[str, zipfile.ZipInfo]:  # noqa: ANN401
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except DAMAGE as error:
        raise UnsafeFileError(
            f"The zip cannot be read: {error}. It is damaged or ends early; fetch it again."
        ) from error
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise UnsafeFileError(
            "The zip is compressed: torch never compresses a checkpoint, and unpacking it could "
            "fill the memory."
        )
    if sum(info.file_size for info in infos) > size or any(i.header_offset < 0 for i in infos):
        raise UnsafeFileError(
            "The zip is damaged: its entries claim more bytes than the file has."
        )
    return {info.filename: info for info in infos}


def _cut(buffer: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of an uncompressed entry where they lie in the file."""
    head = bytes(buffer[info.header_offset : info.header_offset + 30])
    if head[:4] != b"PK\x03\x04":
        raise UnsafeFileError("The zip is damaged: an entry is not where its table says.")
    name, extra = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
    start = info.header_offset + 30 + name + extra
    if start + info.file_size > len(buffer) or info.file_size != info.compress_size:
        raise UnsafeFileError("The zip is damaged: an entry reaches beyond the file.")
    return buffer[start : start + info.file_size]
