"""Write pickles in the shape of EDM's snapshots, for tests and benchmarks.

The module tree is made from the dotted names of tensors, so that nothing of equipoise's networks
is in it. Every persistent object is a call of one function of `torch_utils.persistence` on one
dict, as in the real files; its source code is a dummy that fails when it is run.
"""

import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MODULE_SRC = "raise RuntimeError('source code of a snapshot was run')\n"
PLAIN = ("enc", "dec")
"""Modules that are torch's own dictionaries and not persistent objects."""


def write_snapshot(
    class_name: str,
    scalars: dict[str, Any],
    model_class: str,
    keywords: dict[str, Any],
    tensors: dict[str, Tensor],
    *,
    protocol: int = 4,
    arguments: tuple[Any, ...] = (),
) -> bytes:
    """Write a snapshot.

    Args:
        class_name: Class of the preconditioning.
        scalars: Its attributes.
        model_class: Class of the network inside.
        keywords: What the network was made with.
        tensors: All tensors by their dotted names, those of the network below "model.".
        protocol: Protocol of the pickle.
        arguments: What the network was made with, by position.
    """
    tree = _grow(tensors)
    model = tree.setdefault("model", {})
    model.setdefault("map_noise", {})
    classes = {"": class_name, "model": model_class}
    made = {"": ((), {**scalars, "model_type": model_class}), "model": (arguments, keywords)}
    with _persistence() as reconstruct:
        ema = _build("", tree, classes, made, reconstruct, {"": scalars})
        content = {
            "ema": ema,
            "loss_fn": _Persistent("EDMLoss", {"P_mean": -1.2, "sigma_data": 0.5}, reconstruct),
            "augment_pipe": None,
            "dataset_kwargs": {"class_name": "training.dataset.ImageFolder", "xflip": False},
        }
        return pickle.dumps(content, protocol=protocol)


class _Persistent:
    """Pickles as an object of EDM's persistence does."""

    def __init__(
        self, class_name: str, state: dict[str, Any], reconstruct: Callable[..., None]
    ) -> None:
        self.parts = class_name, state, reconstruct

    def __reduce__(self) -> tuple[Any, ...]:
        class_name, state, reconstruct = self.parts
        meta = {
            "type": "class", "version": 6, "module_src": MODULE_SRC, "class_name": class_name,
            "state": state,
        }  # fmt: skip
        return reconstruct, (meta,), None


@contextmanager
def _persistence() -> Iterator[Callable[..., None]]:
    """Make `torch_utils.persistence` importable while pickling."""
    module = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
        exec(meta["module_src"])

    _reconstruct_persistent_obj.__module__ = module.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    added = {"torch_utils": types.ModuleType("torch_utils"), module.__name__: module}
    sys.modules.update(added)
    try:
        yield _reconstruct_persistent_obj
    finally:
        for name in added:
            del sys.modules[name]


def _grow(tensors: dict[str, Tensor]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = tensor
    return tree


def _build(
    path: str,
    tree: dict[str, Any],
    classes: dict[str, str],
    made: dict[str, Any],
    reconstruct: Callable[..., None],
    scalars: dict[str, Any],
) -> object:
    state = nn.Module().__dict__
    state["training"] = False
    state.update(scalars.get(path, {}), _init_args=(), _init_kwargs={})
    if path in made:
        state["_init_args"], state["_init_kwargs"] = made[path]
    buffers = ("resample_filter", "freqs", "u")
    for name, value in tree.items():
        if isinstance(value, dict):
            below = f"{path}.{name}".lstrip(".")
            child = _build(below, value, classes, made, reconstruct, scalars)
            state["_modules"][name] = child
        elif name in buffers:
            state["_buffers"][name] = value
        else:
            state["_parameters"][name] = nn.Parameter(value, requires_grad=False)
    last = path.rsplit(".", 1)[-1]
    if last in PLAIN:
        container = nn.ModuleDict.__new__(nn.ModuleDict)
        container.__dict__ = state
        return container
    state["skip_scale"] = np.sqrt(0.5)  # a number of numpy, as in the real files
    state["_backward_hooks"] = OrderedDict()
    return _Persistent(classes.get(path, "Layer"), state, reconstruct)


def spread(tensors: dict[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    """Give tensors of these names and shapes seeded values of a trained network's size.

    Resampling filters keep their values: they are constants of the architecture.
    """
    generator = torch.Generator().manual_seed(seed)
    filled = {}
    for name, tensor in tensors.items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("resample_filter"):
            taps = torch.tensor([1.0, 1.0] if tensor.shape[-1] == 2 else [1.0, 3.0, 3.0, 1.0])
            filled[name] = taps.outer(taps)[None, None] / taps.sum().square()
        elif "norm" in name and name.endswith("weight"):
            filled[name] = 1 + 0.1 * noise
        elif tensor.ndim == 1:
            filled[name] = (16.0 if name.endswith("freqs") else 0.1) * noise
        else:
            filled[name] = noise / max(1, tensor[0].numel()) ** 0.5
    return filled
