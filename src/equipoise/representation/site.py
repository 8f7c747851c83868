"""Sites: stable names for places in a network.

A site is a dotted module name and a side, `up_blocks.0.resnets.0.conv2:in` (what enters the
module) or `...:out` (what leaves it; the side may be left out). In a pattern `*` stands for any
part of one name between dots, `**` for any number of names.

Shapes and order come from one forward with fake tensors: nothing is computed. A network that asks
for the value of a number (a timestep turned into an index) is run once on a blank sample instead.
"""

import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)

from equipoise.denoisers.protocol import Denoiser, device_of
from equipoise.errors import BadInputError, UnknownSiteError, closest
from equipoise.representation.pooling import POOLABLE

SIDES = ("in", "out")
# A forward that asks for the value of a number cannot run on fake tensors.
_NEEDS_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
)
_COMPILED_PREFIX = "_orig_mod."


@dataclass(frozen=True)
class Site:
    """A place: name, class of the module, shape without the batch axis, calls a forward."""

    name: str
    module: str
    shape: tuple[int, ...]
    calls: int


# One listing a network, with what it was made of: sample shape and modules.
_KNOWN: "weakref.WeakKeyDictionary[nn.Module, tuple[object, tuple[Site, ...]]]" = (
    weakref.WeakKeyDictionary()
)


def sites(denoiser: Denoiser) -> tuple[Site, ...]:
    """List the sites of a denoiser in the order of a forward; runs no weights."""
    network = denoiser.network
    modules = tuple((name, id(module)) for name, module in network.named_modules())
    made_of = (denoiser.sample_shape, modules)
    if network not in _KNOWN or _KNOWN[network][0] != made_of:
        _KNOWN[network] = made_of, _trace(denoiser)
    return _KNOWN[network][1]


def select_sites(denoiser: Denoiser, patterns: str | Iterable[str]) -> tuple[str, ...]:
    """Resolve names and patterns to site names, in the order of a forward.

    Raises:
        UnknownSiteError: when a pattern matches nothing; names the closest sites.
        BadInputError: when no pattern is given.
    """
    names = [site.name for site in sites(denoiser)]
    wanted: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = [name for name in names if _as_regex(pattern).fullmatch(name)]
        if not matches:
            kind = type(denoiser.network).__name__
            raise UnknownSiteError(
                f'No site matches "{pattern}" in {kind} ({len(names)} sites). Closest: '
                f"{closest(pattern, names) or 'none'}. List all with equipoise.sites(model)."
            )
        wanted.update(matches)
    if not wanted:
        raise BadInputError("No site was given: name at least one, for example a default site.")
    return tuple(name for name in names if name in wanted)


def named_modules(network: nn.Module) -> dict[str, nn.Module]:
    """Map dotted names to modules; the wrapper that torch.compile adds has no part in a name."""
    return {
        name.replace(_COMPILED_PREFIX, ""): module
        for name, module in network.named_modules()
        if name and not name.endswith(_COMPILED_PREFIX.rstrip("."))
    }


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Run compiled modules eagerly, because compiled code does not see hooks set later."""
    compiled = any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None)
        for module in network.modules()
    )
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def first_tensor(value: object) -> Tensor | None:
    """Return the tensor a module takes or gives: itself, or the first of a tuple or mapping."""
    if isinstance(value, Tensor):
        return value
    items = tuple(value.values()) if isinstance(value, Mapping) else value
    if isinstance(items, (tuple, list)):
        return next((item for item in items if isinstance(item, Tensor)), None)
    return None


def _as_regex(pattern: str) -> re.Pattern[str]:
    with_side = pattern if pattern.endswith(tuple(f":{s}" for s in SIDES)) else f"{pattern}:out"
    parts = re.split(r"(\*\*|\*|\?)", with_side)
    wild = {"**": ".*", "*": r"[^.:]*", "?": r"[^.:]"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))


def _trace(denoiser: Denoiser) -> tuple[Site, ...]:
    """Run one forward on fake tensors and note every tensor that enters or leaves a module."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    calls: dict[str, int] = {}

    def note(name: str, module: nn.Module, value: object) -> None:
        tensor = first_tensor(value)
        if tensor is not None and tensor.ndim in POOLABLE:
            found.setdefault(name, (type(module).__name__, tuple(tensor.shape[1:])))
            calls[name] = calls.get(name, 0) + 1

    buffers = {name: buffer.clone() for name, buffer in denoiser.network.named_buffers()}
    handles = []
    for name, module in named_modules(denoiser.network).items():
        handles += [
            module.register_forward_pre_hook(
                lambda m, args, kwargs, name=name: note(
                    f"{name}:in", m, (*args, *kwargs.values())
                ),
                with_kwargs=True,
            ),
            module.register_forward_hook(lambda m, _, out, name=name: note(f"{name}:out", m, out)),
        ]
    try:
        with uncompiled(denoiser.network), torch.no_grad():
            try:
                with FakeTensorMode(allow_non_fake_inputs=True):
                    _run_once(denoiser)
            except _NEEDS_VALUES:
                found.clear()
                calls.clear()
                _run_once(denoiser)
    finally:
        for handle in handles:
            handle.remove()
        for name, buffer in denoiser.network.named_buffers():
            if not torch.equal(buffer, buffers[name]):  # a batch norm counts even fake batches
                buffer.copy_(buffers[name])
    return tuple(Site(name, *found[name], calls[name]) for name in found)


def _run_once(denoiser: Denoiser) -> None:
    """Denoise one blank sample."""
    device = device_of(denoiser)
    x = torch.zeros((1, *denoiser.sample_shape), device=device)
    sigma = torch.full((1,), denoiser.snap(1.0), device=device)
    denoiser.denoise(x, sigma, denoiser.null_condition(1))
