r"""EDM snapshots (`network-snapshot-*.pkl`): a tree of modules, without running its source code.

Such a file is a plain pickle of `{ema, loss_fn, augment_pipe, dataset_kwargs}`. Every module in
it is a call of `torch_utils.persistence._reconstruct_persistent_obj` on one dict: the source code
of a file, the name of a class in it, and the attributes of the object. An ordinary reader runs
that source code; here the name of the class and the attributes are read, and the source code is
a text like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equipoise.checkpoints.storage import (
    LOAD_BLOB,
    REBUILD_PARAMETER,
    REBUILD_TENSOR,
    View,
    build_tensor,
    copy_storage,
    is_call,
    read_blob,
    read_view,
)
from equipoise.checkpoints.symbolic import ORDERED_DICT, Call, read_pickle
from equipoise.errors import BadInputError, UnsafeFileError

RECONSTRUCT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
MODULE_DICT = ("torch.nn.modules.container", "ModuleDict")
MODULE_LIST = ("torch.nn.modules.container", "ModuleList")
NUMPY_SCALARS = (("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar"))
ALLOWED = frozenset({
    ORDERED_DICT, ("numpy", "dtype"), *NUMPY_SCALARS, REBUILD_PARAMETER, REBUILD_TENSOR,
    MODULE_DICT, MODULE_LIST, LOAD_BLOB, RECONSTRUCT, ("builtins", "set"),
})  # fmt: skip
"""Every name that snapshots of the EDM code use; the last one where Python was older."""
VERSION = 6
MAX_DEPTH = 32
MAX_MODULES = 100_000


@dataclass(frozen=True)
class ModuleState:
    """One module of a snapshot: its class, what it was made with, its tensors and children.

    `arguments` and `keywords` are those of its constructor, as they were recorded; `source` is
    the source code that rides along, a text that is never run.
    """

    class_name: str
    attributes: dict[str, Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    views: dict[str, View]
    children: dict[str, "ModuleState"]
    source: str


@dataclass(frozen=True)
class Snapshot:
    """The averaged network of a snapshot, and what else the file holds, by name."""

    ema: ModuleState
    other: dict[str, Any]
    _storages: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def tensors(self) -> dict[str, Tensor]:
        """Copy the tensors of the averaged network into memory, by their dotted names.

        Raises:
            UnsafeFileError: when one does not lie in the file as announced.
        """
        return {name: self._build(view) for name, view in walk_views(self.ema)}

    def _build(self, view: View) -> Tensor:
        blob = _find_blob(view.storage)
        # By the bytes and not by the call: a blob that is named twice is copied once.
        if id(blob) not in self._storages:
            self._storages[id(blob)] = copy_storage(read_blob(blob))
        return build_tensor(view, self._storages[id(blob)])


def read_snapshot(buffer: memoryview) -> Snapshot:
    """Read the modules of a snapshot; tensors are only located.

    Raises:
        BadInputError: when it is a pickle of something else.
        UnsafeFileError: when it asks for more than weights, or contradicts itself.
    """
    pickle = read_pickle(buffer, allowed=ALLOWED)
    top = pickle.value
    if not isinstance(top, dict) or not is_call(top.get("ema"), RECONSTRUCT):
        raise BadInputError(
            "The pickle holds no averaged network of EDM: a snapshot is a dict whose `ema` is a "
            "network saved by its code."
        )
    if pickle.end != len(buffer):
        raise UnsafeFileError(f"{len(buffer) - pickle.end} bytes follow the end of the pickle.")
    ema = _Reader().read(top["ema"], depth=0)
    return Snapshot(ema, {str(name): value for name, value in top.items() if name != "ema"})


def walk_views(module: ModuleState, prefix: str = "") -> Iterator[tuple[str, View]]:
    """Yield the dotted names of all tensors, with where they lie."""
    for name, view in module.views.items():
        yield prefix + name, view
    for name, child in module.children.items():
        yield from walk_views(child, f"{prefix}{name}.")


class _Reader:
    """Reads modules and counts them: a module that contains itself would never end."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, symbol: object, depth: int) -> ModuleState:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_MODULES:
            raise UnsafeFileError(
                f"The modules of the snapshot are nested deeper than {MAX_DEPTH} or more than "
                f"{MAX_MODULES}."
            )
        class_name, state, source = _read_object(symbol)
        parts = [_get_dict(state, key) for key in ("_parameters", "_buffers", "_modules")]
        tensors = {**parts[0], **parts[1]}
        children = {
            name: self.read(child, depth + 1)
            for name, child in parts[2].items()
            if child is not None
        }
        arguments, keywords = state.get("_init_args"), state.get("_init_kwargs")
        return ModuleState(
            class_name=class_name,
            attributes={k: read_plain(v) for k, v in state.items() if not k.startswith("_")},
            arguments=arguments if type(arguments) is tuple else (),
            keywords=keywords if isinstance(keywords, dict) else {},
            views={name: read_view(t) for name, t in tensors.items() if t is not None},
            children=children,
            source=source,
        )


def read_plain(symbol: object) -> object:
    """Return a number, text or list as it is, and numpy's scalars as numbers."""
    if isinstance(symbol, Call) and any(is_call(symbol, name) for name in NUMPY_SCALARS):
        return _read_scalar(symbol)
    return symbol


def _read_object(symbol: object) -> tuple[str, dict[str, Any], str]:
    """Read class, attributes and source code of a persistent object or a container of torch."""
    source: object = ""
    if is_call(symbol, RECONSTRUCT):
        meta = symbol.arguments[0] if len(symbol.arguments) == 1 else None
        if not isinstance(meta, dict) or symbol.state is not None:
            raise UnsafeFileError("The snapshot holds a persistent object without its dict.")
        if meta.get("type") != "class" or meta.get("version") != VERSION:
            raise BadInputError(
                f"The snapshot holds persistent objects of another version; {VERSION} is read."
            )
        name, state, source = (meta.get(key) for key in ("class_name", "state", "module_src"))
    elif is_call(symbol, MODULE_DICT) or is_call(symbol, MODULE_LIST):
        name, state = symbol.function.name, symbol.state
    else:
        raise UnsafeFileError("The snapshot holds something else where a module should be.")
    if not isinstance(name, str) or not isinstance(state, dict):
        raise UnsafeFileError("The snapshot holds a module without a class or attributes.")
    if not all(isinstance(key, str) for key in state):
        raise UnsafeFileError("The snapshot holds a module with attributes that have no names.")
    return name, state, source if isinstance(source, str) else ""


def _get_dict(state: dict[str, Any], key: str) -> dict[str, Any]:
    value = state.get(key, {})
    if not isinstance(value, dict) or not all(_is_name(name) for name in value):
        raise UnsafeFileError(f"The snapshot holds a module whose {key} have no names.")
    return value


def _is_name(name: object) -> bool:
    return isinstance(name, str) and "." not in name and 0 < len(name) <= 100


def _find_blob(symbol: object) -> memoryview:
    if is_call(symbol, LOAD_BLOB) and len(symbol.arguments) == 1:
        blob = symbol.arguments[0]
        if isinstance(blob, memoryview):
            return blob
    raise UnsafeFileError("The snapshot holds a tensor whose numbers are not in the file.")


def _read_scalar(symbol: Call) -> float:
    """Read a numpy scalar: eight bytes of a float or of a whole number."""
    kind, data = symbol.arguments if len(symbol.arguments) == 2 else (None, None)
    code = kind.arguments[0] if is_call(kind, ("numpy", "dtype")) and kind.arguments else None
    forms = {"f8": torch.float64, "f4": torch.float32, "i8": torch.int64, "i4": torch.int32}
    if not isinstance(code, str) or code not in forms or not isinstance(data, memoryview):
        raise UnsafeFileError("The snapshot holds a number of numpy that is not read.")
    dtype = forms[code]
    if len(data) != dtype.itemsize:
        raise UnsafeFileError("The snapshot holds a number of numpy of the wrong length.")
    return torch.frombuffer(bytearray(data), dtype=dtype).item()
