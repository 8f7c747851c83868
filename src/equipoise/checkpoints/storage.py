r"""Raw numbers in a file, and the tensors that lie in them.

A tensor is saved as a storage (type, count, raw bytes) and a view of it (offset, size, strides).
Both are checked before anything is allocated: a storage must lie in the file with exactly the
bytes its count needs, and a view must lie in its storage and hold no more numbers than it.
Each storage is copied once, so what is read never takes more memory than the file has bytes.
"""

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor

from equipoise.checkpoints.symbolic import Call, Global, Reference, read_pickle
from equipoise.errors import UnsafeFileError

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
STORAGES = frozenset(("torch", name) for name in DTYPES)
"""The classes of storages, as pickles name them."""

REBUILD_TENSOR = ("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = ("torch._utils", "_rebuild_parameter")
LOAD_BLOB = ("torch.storage", "_load_from_bytes")
MAX_COUNT = 1 << 40
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
MAX_AXES = 8


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers of one type in a file."""

    dtype: torch.dtype
    data: memoryview


@dataclass(frozen=True, slots=True)
class View:
    """A tensor that was not built yet: where its numbers lie in which storage."""

    storage: Any
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]


def read_view(symbol: object) -> View:
    """Read the symbol of a tensor or parameter.

    Raises:
        UnsafeFileError: when it is no tensor, or its numbers are no whole numbers in range.
    """
    if is_call(symbol, REBUILD_PARAMETER) and symbol.arguments:
        symbol = symbol.arguments[0]
    if not is_call(symbol, REBUILD_TENSOR) or len(symbol.arguments) < 4:
        raise UnsafeFileError("The pickle holds something else where a tensor should be.")
    storage, offset, size, strides = symbol.arguments[:4]
    shaped = type(size) is tuple and type(strides) is tuple and len(size) == len(strides)
    if not shaped or len(size) > MAX_AXES or not all(map(_is_count, (offset, *size, *strides))):
        raise UnsafeFileError("The pickle holds a tensor whose shape is no list of whole numbers.")
    return View(storage, offset, size, strides)


def build_tensor(view: View, whole: Tensor) -> Tensor:
    """Cut a tensor out of its storage, which it shares.

    Raises:
        UnsafeFileError: when it reaches beyond the storage, or repeats numbers of it.
    """
    count = math.prod(view.size)
    steps = zip(view.size, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    if not 0 < count <= len(whole) or last >= len(whole):
        raise UnsafeFileError(
            f"The pickle holds a tensor of shape {view.size} that does not fit into its "
            f"{len(whole)} numbers."
        )
    return whole.as_strided(view.size, view.strides, view.offset)


def copy_storage(storage: Storage) -> Tensor:
    """Copy the numbers of a storage into memory: (number).

    Raises:
        UnsafeFileError: when it holds none.
    """
    if not len(storage.data):
        raise UnsafeFileError("The pickle holds a storage without a number in it.")
    return torch.frombuffer(bytearray(storage.data), dtype=storage.dtype)


def read_type(symbol: object) -> torch.dtype:
    """Return the type of the numbers that a storage class stands for."""
    if isinstance(symbol, Global) and symbol.module == "torch" and symbol.name in DTYPES:
        return DTYPES[symbol.name]
    raise UnsafeFileError("The pickle holds a storage whose type is not known.")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a legacy `torch.save` wrote: a value, its storages by key, and where it ends."""

    value: Any
    storages: dict[str, Storage]
    end: int


def read_legacy(
    buffer: memoryview, at: int = 0, *, allowed: Collection[tuple[str, str]] = ()
) -> Saved:
    """Read what the legacy `torch.save` wrote at byte `at`: pickles, then raw numbers.

    Args:
        buffer: The file.
        at: Where it starts, in bytes.
        allowed: Names that may appear in the value besides storages.

    Raises:
        UnsafeFileError: when it is anything else, or contradicts itself.
    """
    at = _check_head(buffer, at)
    saved = read_pickle(buffer, at, allowed={*allowed, *STORAGES})
    keys = read_pickle(buffer, saved.end, allowed=())
    declared = _declare(saved.references)
    listed = type(keys.value) is list and all(isinstance(key, str) for key in keys.value)
    if not listed or sorted(keys.value) != sorted(declared):
        raise UnsafeFileError("The pickle is damaged: its storages are not those it announces.")
    at = keys.end
    storages = {}
    for key in keys.value:
        dtype, count = declared[key]
        written = struct.unpack("<q", _cut(buffer, at, 8))[0]
        if written != count:
            raise UnsafeFileError(
                f"The pickle is damaged: it announces {count} numbers, and then {written}."
            )
        data = _cut(buffer, at + 8, count * dtype.itemsize)
        storages[key] = Storage(dtype, data)
        at += 8 + len(data)
    return Saved(saved.value, storages, at)


def read_blob(blob: memoryview) -> Storage:
    """Read a blob that holds one storage and nothing else, as a pickled tensor keeps it.

    Raises:
        UnsafeFileError: when it holds anything else.
    """
    saved = read_legacy(blob)
    if (
        not isinstance(saved.value, Reference)
        or len(saved.storages) != 1
        or saved.end != len(blob)
    ):
        raise UnsafeFileError("The pickle keeps something else where one storage should be.")
    return next(iter(saved.storages.values()))


def read_storage_key(symbol: object) -> tuple[torch.dtype, str, int]:
    """Read a persistent id: type, key and count of a storage."""
    key = symbol.key if isinstance(symbol, Reference) else None
    if type(key) is not tuple or len(key) not in (5, 6) or key[0] != "storage":
        raise UnsafeFileError("The pickle points to something that is no storage.")
    if not isinstance(key[2], str) or key[5:] not in ((), (None,)):
        raise UnsafeFileError("The pickle points to a storage in a way that is not read.")
    if not _is_count(key[4]):
        raise UnsafeFileError("The pickle points to a storage of no whole number of elements.")
    return read_type(key[1]), key[2], key[4]


def is_call(symbol: object, function: tuple[str, str]) -> TypeGuard[Call]:
    """Tell whether a symbol is a call of `function`."""
    if not isinstance(symbol, Call):
        return False
    return (symbol.function.module, symbol.function.name) == function


def _check_head(buffer: memoryview, at: int) -> int:
    """Check what the legacy format begins with, and return where its value starts."""
    magic = read_pickle(buffer, at, allowed=())
    version = read_pickle(buffer, magic.end, allowed=())
    system = read_pickle(buffer, version.end, allowed=())
    little = isinstance(system.value, dict) and system.value.get("little_endian") is True
    if magic.value != LEGACY_MAGIC or version.value != LEGACY_VERSION or not little:
        raise UnsafeFileError(
            "The pickle is no file of torch: weights start with its mark, its version 1001 and a "
            "little-endian order."
        )
    return system.end


def _declare(references: tuple[Reference, ...]) -> dict[str, tuple[torch.dtype, int]]:
    declared: dict[str, tuple[torch.dtype, int]] = {}
    for reference in references:
        dtype, key, count = read_storage_key(reference)
        if declared.setdefault(key, (dtype, count)) != (dtype, count):
            raise UnsafeFileError("The pickle describes one storage in two ways.")
    return declared


def _cut(buffer: memoryview, at: int, count: int) -> memoryview:
    if at + count > len(buffer):
        raise UnsafeFileError(
            f"The file ends early: {count} bytes of weights are announced at byte {at}, and "
            f"{max(0, len(buffer) - at)} are left. Fetch it again."
        )
    return buffer[at : at + count]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT
