"""The hooks of one `steer`: they read the call that begins, and change what passes its sites."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils.hooks import RemovableHandle

from equipoise.denoisers import Denoiser
from equipoise.denoisers.halves import ReadHalves
from equipoise.denoisers.network_call import read_call
from equipoise.representation.site import first_tensor, named_modules
from equipoise.steering.activation import steer_activation
from equipoise.steering.arithmetic import Mode
from equipoise.steering.guidance import Guidance, choose_rows
from equipoise.steering.rows import Rows, spread_over_rows
from equipoise.steering.vector import ConceptVector

SLACK = 1e-4
"""Relative width by which a noise level may miss the window: times are told in float32."""

Window = tuple[float | int, float | int]


@dataclass
class Steered:
    """What happened inside: the noise levels of the calls, and of those that were steered."""

    called: list[float] = field(default_factory=list)
    steered: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """What is asked for, checked."""

    vectors: Sequence[ConceptVector]
    strengths: Float[Tensor, "vector sample"]
    window: Window
    mode: Mode
    guidance: Guidance
    mask: Float[Tensor, "sample 1 height width"] | None
    affine: bool


class Session:
    """The hooks, and the call that is running."""

    def __init__(self, denoiser: Denoiser, order: Order, read_halves: ReadHalves) -> None:
        self.log = Steered()
        self._denoiser, self._order, self._read_halves = denoiser, order, read_halves
        self._now: Rows | None = None

    def register(self) -> Iterator[RemovableHandle]:
        """Set the hooks, one by one."""
        network = self._denoiser.network
        yield network.register_forward_pre_hook(
            lambda _, args, kwargs: self._begin(args, kwargs), with_kwargs=True
        )
        modules = named_modules(network)
        for site in dict.fromkeys(s for vector in self._order.vectors for s in vector.sites):
            name, side = site.rsplit(":", 1)
            if side == "in":
                yield modules[name].register_forward_pre_hook(
                    lambda _, args, kwargs, site=site: self._change_input(site, args, kwargs),
                    with_kwargs=True,
                )
            else:
                yield modules[name].register_forward_hook(
                    lambda _, __, output, site=site: self._change_output(site, output)
                )

    def _begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Read the call that begins; a forward that only learns shapes is let pass."""
        self._now = None
        if isinstance(first_tensor((*args, *kwargs.values())), FakeTensor):
            return
        order = self._order
        call = read_call(self._denoiser, args, kwargs)
        assert call is not None, "checked when the `with` was entered"
        low, high = order.window
        inside = (call.sigma >= low * (1 - SLACK)) & (call.sigma <= high * (1 + SLACK))
        halves = self._read_halves(call)
        active = inside & choose_rows(halves, order.guidance)
        self.log.called.append(float(call.sigma[0]))
        if bool(active.any()):
            self.log.steered.append(float(call.sigma[0]))
        strengths = spread_over_rows(order.strengths.T, call, halves).T
        self._now = Rows(
            sigma=call.sigma,
            strengths=torch.where(active, strengths, 0.0),
            mask=None if order.mask is None else spread_over_rows(order.mask, call, halves),
        )

    def _change_input(
        self, site: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        changed = self._change(site, first_tensor((*args, *kwargs.values())))
        if changed is None:
            return None
        if first_tensor(args) is not None:
            return _replace_first(args, changed), kwargs
        return args, _replace_first(kwargs, changed)

    def _change_output(self, site: str, output: Any) -> Any:  # noqa: ANN401 - a module's own
        changed = self._change(site, first_tensor(output))
        if changed is None or isinstance(output, Tensor):
            return changed
        return _replace_first(output, changed)

    def _change(self, site: str, h: Tensor | None) -> Tensor | None:
        """Return the steered activation; None where there is nothing to do."""
        rows, order = self._now, self._order
        if rows is None or h is None or not bool(rows.strengths.any()):
            return None
        return steer_activation(h, site, rows, order.vectors, mode=order.mode, affine=order.affine)


def _replace_first(values: Any, tensor: Tensor) -> Any:  # noqa: ANN401 - of the type given
    """Return a copy of a tuple, list or mapping with its first tensor replaced."""
    if isinstance(values, Mapping):
        replaced: Any = copy.copy(values)
        replaced[next(k for k, value in values.items() if isinstance(value, Tensor))] = tensor
        return replaced
    place = next(k for k, value in enumerate(values) if isinstance(value, Tensor))
    return type(values)([*values[:place], tensor, *values[place + 1 :]])
