"""Capture: look at sites during a forward, pool on the fly, stop after the last one.

    with capture(denoiser, ["up_blocks.0.resnets.*.conv2:in"]) as tape:
        denoiser.denoise(x, sigma)
    tape["up_blocks.0.resnets.0.conv2:in"]        # (batch, unit)

The forward ends inside the `with` as soon as the last wanted site was seen: nothing after it is
computed, and statements after the forward inside the block are not reached. With `stop=False` the
forward runs to its end and the tape keeps the latest forward.

Hooks come off on every exit. The model is not changed.
"""

import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from equipoise.denoisers.protocol import Denoiser
from equipoise.errors import CaptureError
from equipoise.representation.pooling import Pooling, pool
from equipoise.representation.site import (
    first_tensor,
    named_modules,
    select_sites,
    sites,
    uncompiled,
)


class _StopForward(BaseException):
    """Ends a forward; not an Exception, so that no handler in between swallows it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__("the last wanted site was captured")
        self.network = network


# The captures that are open on a network: a forward stops when all of them are complete.
_OPEN: "weakref.WeakKeyDictionary[nn.Module, list[capture]]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Representation:
    """What was captured at a site.

    `tensor` is `(batch, unit)` when pooled; with pooling "none" it is the activation itself.
    """

    tensor: Float[Tensor, "batch ..."]
    site: str
    sigma: Float[Tensor, " batch"]
    pooling: Pooling


class capture(Mapping[str, Tensor]):
    """Context manager and tape in one: a read-only mapping from site name to tensor.

    Args:
        denoiser: The model.
        patterns: Site names or patterns, see `equipoise.representation.site`.
        pooling: How to pool over space or tokens, on the fly.
        stop: End the forward after the last wanted site.

    Raises:
        UnknownSiteError: when a pattern matches no site.
        CaptureError: when a site fires never, or more than once in a forward.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        patterns: str | Iterable[str],
        *,
        pooling: Pooling = "max",
        stop: bool = True,
    ) -> None:
        self._network = denoiser.network
        self._names = select_sites(denoiser, patterns)
        self._pooling: Pooling = pooling
        self._stop = stop
        self._seen: dict[str, Tensor] = {}
        self._exits = ExitStack()
        calls = {site.name: site.calls for site in sites(denoiser)}
        _refuse_repeated({name: calls[name] for name in self._names})

    def __enter__(self) -> "capture":
        with ExitStack() as stack:
            stack.enter_context(uncompiled(self._network))
            modules = named_modules(self._network)
            open_here = _OPEN.setdefault(self._network, [])
            open_here.append(self)
            stack.callback(open_here.pop)  # the innermost closes first
            for handle in self._register(modules):
                stack.callback(handle.remove)
            self._exits = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._exits.close()
        stopped = isinstance(error, _StopForward) and error.network is self._network
        if error is None or stopped:
            self._refuse_missing()
        return stopped

    def __getitem__(self, name: str) -> Tensor:
        return self._seen[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def _register(self, modules: dict[str, nn.Module]) -> Iterator[RemovableHandle]:
        yield self._network.register_forward_pre_hook(lambda *_: self._seen.clear())
        for name in self._names:
            module_name, side = name.rsplit(":", 1)
            module = modules[module_name]
            if side == "in":
                yield module.register_forward_pre_hook(
                    lambda _, args, kwargs, name=name: self._keep(name, (*args, *kwargs.values())),
                    with_kwargs=True,
                )
            else:
                yield module.register_forward_hook(
                    lambda _, __, output, name=name: self._keep(name, output)
                )

    def _keep(self, name: str, value: object) -> None:
        tensor = first_tensor(value)
        if tensor is None:
            raise CaptureError(f'The site "{name}" carries no tensor; choose another site.')
        if name in self._seen:
            _refuse_repeated({name: 2})
        whole = tensor.detach()
        pooled = pool(whole, self._pooling)
        # What is not pooled is copied: a module after the site may work in place.
        self._seen[name] = pooled.clone() if pooled is whole else pooled
        if all(tape._is_complete() for tape in _OPEN[self._network]):
            raise _StopForward(self._network)

    def _is_complete(self) -> bool:
        return self._stop and len(self._seen) == len(self._names)

    def _refuse_missing(self) -> None:
        missing = [name for name in self._names if name not in self._seen]
        if missing:
            raise CaptureError(
                f'The site "{missing[0]}" did not fire: no forward of the denoiser reached it '
                "inside the `with`. Call denoiser.denoise(...) once inside it."
            )


def observe(
    denoiser: Denoiser,
    x: Float[Tensor, "batch ..."],
    sigma: Float[Tensor, " batch"],
    patterns: Iterable[str],
    *,
    pooling: Pooling = "max",
    cond: Tensor | None = None,
) -> dict[str, Representation]:
    """Capture sites in one truncated forward; without conditions with the empty one."""
    told = denoiser.null_condition(len(x)) if cond is None else cond
    with torch.no_grad(), capture(denoiser, patterns, pooling=pooling) as tape:
        denoiser.denoise(x, sigma, told)
    return {name: Representation(tape[name], name, sigma, pooling) for name in tape}


def _refuse_repeated(calls: dict[str, int]) -> None:
    repeated = [name for name, count in calls.items() if count > 1]
    if repeated:
        raise CaptureError(
            f'The site "{repeated[0]}" fires more than once in a forward, so it names no single '
            "place (a shared activation module, perhaps). Choose the input of the layer after it."
        )
