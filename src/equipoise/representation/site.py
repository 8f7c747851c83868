"""Sites: stable names for places in a network.

A site is a dotted module name and a side, `up_blocks.0.resnets.0.conv2:in` (what enters the
module) or `...:out` (what leaves it; the side may be left out). In a pattern `*` stands for any
part of one name between dots, `**` for any number of names.

Shapes, order and cost come from one forward with fake tensors: nothing is computed. A network that
asks for the value of a number (a timestep turned into an index) is run once on a blank sample
instead. Cost is counted in FLOPs of matrix products, convolutions and attention (a product and a
sum are two); a forward that stops at a site costs the share of the whole that was spent before it.
"""

import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

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
    """A place in a network.

    Args:
        name: Dotted name of the module, and side.
        module: Class of the module.
        shape: Shape of the tensor there, without the batch axis.
        calls: How often it fires in a forward.
        share: Share of the forward's FLOPs that is spent before it first fires, 0 to 1.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    calls: int
    share: float


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
        matches = list(filter(_as_regex(pattern).fullmatch, names))
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
    notes = _Notes()
    sigma = denoiser.snap(1.0)  # asks for values, which fake tensors have not
    buffers = {name: buffer.clone() for name, buffer in denoiser.network.named_buffers()}
    handles = []
    for name, module in named_modules(denoiser.network).items():
        handles += [
            module.register_forward_pre_hook(
                lambda m, args, kwargs, name=name: notes.add(
                    f"{name}:in", m, (*args, *kwargs.values())
                ),
                with_kwargs=True,
            ),
            module.register_forward_hook(
                lambda m, _, out, name=name: notes.add(f"{name}:out", m, out)
            ),
        ]
    try:
        with uncompiled(denoiser.network), torch.no_grad():
            try:
                with FakeTensorMode(allow_non_fake_inputs=True):
                    notes.take(denoiser, sigma)
            except _NEEDS_VALUES:
                notes.take(denoiser, sigma)
    finally:
        for handle in handles:
            handle.remove()
        for name, buffer in denoiser.network.named_buffers():
            if not torch.equal(buffer, buffers[name]):  # a batch norm counts even fake batches
                buffer.copy_(buffers[name])
    return notes.list_sites()


class _Notes:
    """What passes the modules in one forward, and what was spent before."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, tuple[int, ...], int]] = {}
        self._calls: dict[str, int] = {}
        self._counter = _FlopCounter()

    def take(self, denoiser: Denoiser, sigma: float) -> None:
        """Denoise one blank sample and note what the hooks see."""
        self._found.clear()
        self._calls.clear()
        self._counter = _FlopCounter()
        with self._counter:
            _run_once(denoiser, sigma)

    def add(self, name: str, module: nn.Module, value: object) -> None:
        """Note the tensor that passes a side of a module."""
        tensor = first_tensor(value)
        if tensor is not None and tensor.ndim in POOLABLE:
            spent = self._counter.flops
            self._found.setdefault(name, (type(module).__name__, tuple(tensor.shape[1:]), spent))
            self._calls[name] = self._calls.get(name, 0) + 1

    def list_sites(self) -> tuple[Site, ...]:
        """List what was noted, in the order of the forward."""
        whole = max(1, self._counter.flops)
        return tuple(
            Site(name, module, shape, self._calls[name], spent / whole)
            for name, (module, shape, spent) in self._found.items()
        )


class _FlopCounter(TorchDispatchMode):
    """Adds up the FLOPs of what runs; unlike torch's own, it hooks no module."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Run an operation and count it; a compound one is counted by its parts."""
        words = kwargs or {}
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is None and func.namespace == "aten":
            with self:
                parts = func.decompose(*args, **words)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **words)
        if formula is not None:
            self.flops += formula(*args, **words, out_val=result)
        return result


def _count_attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


# Attention on a processor is not in torch's own table.
_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _count_attention,
}


def _run_once(denoiser: Denoiser, sigma: float) -> None:
    """Denoise one blank sample."""
    device = device_of(denoiser)
    x = torch.zeros((1, *denoiser.sample_shape), device=device)
    level = torch.full((1,), sigma, device=device)
    denoiser.denoise(x, level, denoiser.null_condition(1))
