"""Apply concept vectors while a model runs: in the pipeline's own call, or in any loop.

    with steer(pipeline, vector, strength=0.8, window=(0.2, 1.5)):
        image = pipeline("a portrait of a man").images[0]

Hooks change what passes a site, in a copy, and come off on every exit. At every call of the
network its noise levels are read from what it is told, so no call is counted and the window is
one in sigma, whatever the scheduler. Where strength is 0 the activation is left alone bit for bit.

Hooks fire in the order they were set: of nested `steer` and `capture` the outer one comes first,
so a capture inside sees the steered activations. Compiled modules run eagerly inside.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from equipoise.denoisers import Denoiser, device_of
from equipoise.denoisers.network_call import NetworkCall, read_call
from equipoise.errors import BadInputError, CaptureError
from equipoise.loading import load
from equipoise.representation import select_sites, sites
from equipoise.representation.site import first_tensor, named_modules, uncompiled
from equipoise.steering.arithmetic import MODES, Mode, find_change
from equipoise.steering.guidance import Guidance, Halves, ReadHalves, build_reader, check_guidance
from equipoise.steering.vector import ConceptVector

SLACK = 1e-4
"""Relative width by which a noise level may miss the window: times are told in float32."""
READABLE = 1e-2
"""Relative error of a level that is read from a call, beyond which the call is not understood."""
_PROBES = (0.3, 2.0)  # of the standard deviation of the data


Window = tuple[float | int, float | int]


@dataclass
class Steered:
    """What happened inside: the noise levels of the calls, and of those that were steered."""

    called: list[float] = field(default_factory=list)
    steered: list[float] = field(default_factory=list)


@contextmanager
def steer(
    model: object,
    vectors: ConceptVector | Sequence[ConceptVector],
    *,
    strength: float | int | Sequence[float] | Float[Tensor, "..."] = 1.0,
    window: Window | None = None,
    mode: Mode = "add",
    guidance: Guidance = "both",
    mask: Float[Tensor, "*batch height width"] | None = None,
    affine: bool = False,
) -> Iterator[Steered]:
    """Steer a model inside a `with`.

    Args:
        model: A live pipeline of diffusers, a denoiser, or what else `equipoise.load` takes
            without further words; a denoiser's network is steered wherever it is called from.
        vectors: One concept or several at once.
        strength: In the unit of the vector: one number; one a sample, so that a whole strip is
            one call; or (vector, sample).
        window: Lowest and highest noise level at which to act, data units; None is everywhere.
        mode: "add" the vector; "remove" the positive part of the projection on it; "interpolate"
            the projection towards one unit of the concept.
        guidance: Which half of a guided call: "both", "cond" or "uncond".
        mask: Where to act, values in [0, 1], in the picture's layout, perhaps one a sample; it is
            brought to the size of each site by averaging.
        affine: Of "remove": the presence of the concept is measured from the mean without it.

    Raises:
        BadInputError: when a word is out of its range, the vector belongs to another model, a
            call cannot be understood, or nothing was steered.
        CaptureError: when a site fires more than once in a forward.
        UnknownSiteError: when the model has not the sites of the vector.
    """
    denoiser = load(model)
    given = [vectors] if isinstance(vectors, ConceptVector) else list(vectors)
    for vector in given:
        vector.check_model(denoiser, type(denoiser.network).__name__)
    _check_words(window, mode, affine=affine)
    empty = denoiser.null_condition(1)
    check_guidance(guidance, model, empty)
    _check_sites(denoiser, given)
    _check_calls(denoiser)
    session = _Session(
        denoiser, given, _as_strengths(strength, len(given)), window or (0.0, math.inf), mode,
        guidance, None if mask is None else _as_mask(mask), affine, build_reader(model, empty),
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(uncompiled(denoiser.network))
        for handle in session.register():
            stack.callback(handle.remove)
        yield session.log
    if not session.log.steered:
        raise BadInputError(_tell_idle(session.log.called, window, guidance))


class _Session:
    """The hooks of one `with`, and the call that is running."""

    def __init__(
        self,
        denoiser: Denoiser,
        vectors: Sequence[ConceptVector],
        strengths: Float[Tensor, "vector sample"],
        window: Window,
        mode: Mode,
        guidance: Guidance,
        mask: Float[Tensor, "sample 1 height width"] | None,
        affine: bool,
        read_halves: ReadHalves,
    ) -> None:
        self.log = Steered()
        self._denoiser, self._vectors, self._strengths = denoiser, vectors, strengths
        self._window = window
        self._mode: Mode = mode
        self._guidance: Guidance = guidance
        self._mask, self._affine, self._read_halves = mask, affine, read_halves
        self._now: _Rows | None = None

    def register(self) -> Iterator[RemovableHandle]:
        """Set the hooks, one by one."""
        network = self._denoiser.network
        yield network.register_forward_pre_hook(
            lambda _, args, kwargs: self._begin(args, kwargs), with_kwargs=True
        )
        modules = named_modules(network)
        for site in dict.fromkeys(site for vector in self._vectors for site in vector.sites):
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
        call = read_call(self._denoiser, args, kwargs)
        assert call is not None, "checked when the `with` was entered"
        low, high = self._window
        inside = (call.sigma >= low * (1 - SLACK)) & (call.sigma <= high * (1 + SLACK))
        halves = self._read_halves(call)
        active = inside & halves.choose(self._guidance)
        self.log.called.append(float(call.sigma[0]))
        if bool(active.any()):
            self.log.steered.append(float(call.sigma[0]))
        self._now = _Rows(
            sigma=call.sigma,
            strengths=torch.where(active, _spread(self._strengths.T, call, halves).T, 0.0),
            mask=None if self._mask is None else _spread(self._mask, call, halves),
        )

    def _change_input(
        self, site: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        changed = self._change(site, first_tensor((*args, *kwargs.values())))
        if changed is None:
            return None
        place = next((k for k, value in enumerate(args) if isinstance(value, Tensor)), None)
        if place is not None:
            return (*args[:place], changed, *args[place + 1 :]), kwargs
        name = next(key for key, value in kwargs.items() if isinstance(value, Tensor))
        return args, {**kwargs, name: changed}

    def _change_output(self, site: str, output: Any) -> Any:  # noqa: ANN401 - a module's own
        changed = self._change(site, first_tensor(output))
        if changed is None or isinstance(output, Tensor):
            return changed
        if isinstance(output, Mapping):
            name = next(key for key, value in output.items() if isinstance(value, Tensor))
            replaced: Any = copy.copy(output)
            replaced[name] = changed
            return replaced
        place = next(k for k, value in enumerate(output) if isinstance(value, Tensor))
        return type(output)([*output[:place], changed, *output[place + 1 :]])

    def _change(self, site: str, h: Tensor | None) -> Tensor | None:
        """Return the steered activation; None where there is nothing to do."""
        rows = self._now
        if rows is None or h is None or not bool(rows.strengths.any()):
            return None
        if len(h) != len(rows.sigma):
            raise CaptureError(
                f'At "{site}" there are {len(h)} rows for {len(rows.sigma)} samples: it cannot be '
                "said which belongs to which. Steer at another site."
            )
        whole = h.float() if h.dtype in (torch.float16, torch.bfloat16) else h
        change = torch.zeros_like(whole)
        for vector, strength in zip(self._vectors, rows.strengths, strict=True):
            if site in vector.tensors:
                change = change + find_change(
                    whole, *_take_rows(vector, site, rows.sigma, whole),
                    strength.to(whole).reshape(-1, *[1] * (h.ndim - 1)),
                    mode=self._mode, affine=self._affine,
                )  # fmt: skip
        if rows.mask is not None:
            change = change * _fit_mask(rows.mask, site, whole)
        active = (rows.strengths != 0).any(dim=0).to(h.device)
        return torch.where(
            active.reshape(-1, *[1] * (h.ndim - 1)), (whole + change).to(h.dtype), h
        )


@dataclass(frozen=True)
class _Rows:
    """The running call: level, strengths and mask of every row; strength 0 where idle."""

    sigma: Float[Tensor, " row"]
    strengths: Float[Tensor, "vector row"]
    mask: Float[Tensor, "row 1 height width"] | None


def _spread(
    values: Float[Tensor, "sample ..."], call: NetworkCall, halves: Halves
) -> Float[Tensor, "row ..."]:
    """Give every row what its sample was given; one value is for all."""
    rows, count = len(call.sample), len(values)
    if count == 1:
        return values.expand(rows, *values.shape[1:])
    if halves.doubled and 2 * count == rows:
        return torch.cat([values, values])
    if count == rows:
        return values
    told = f"{rows} rows" + (", two for each sample" if halves.doubled else "")
    raise BadInputError(
        f"Strengths or masks were given for {count} samples, and the model was called with {told}."
        " Give one for all, or one for each picture of the call."
    )


def _take_rows(
    vector: ConceptVector, site: str, sigma: Float[Tensor, " row"], h: Tensor
) -> tuple[Tensor, Tensor]:
    """Return vector and origin for every row, at the nearest level, with the axes of `h`."""
    levels = sigma.new_tensor(vector.record.sigmas).log()
    nearest = (sigma.log()[:, None] - levels).abs().argmin(dim=1)
    pair = []
    for tensor in (vector.tensors[site], vector.origins[site]):
        rows = tensor.to(h)[nearest.to(h.device)]
        if rows.ndim == 2 and h.ndim == 4:
            rows = rows[:, :, None, None]
        elif rows.ndim == 2 and h.ndim == 3:
            rows = rows[:, None]
        if rows.ndim != h.ndim or any(
            one not in (1, two) for one, two in zip(rows.shape, h.shape, strict=True)
        ):
            raise BadInputError(
                f'At "{site}" the vector has the shape {tuple(tensor.shape[1:])} and the '
                f"activation {tuple(h.shape[1:])}. A per-position vector is for one size of "
                'picture; make a "pooled" one.'
            )
        pair.append(rows)
    return pair[0], pair[1]


def _fit_mask(mask: Float[Tensor, "row 1 height width"], site: str, h: Tensor) -> Tensor:
    """Bring a mask to the size of a site."""
    if h.ndim == 4:
        return functional.adaptive_avg_pool2d(mask, (h.shape[2], h.shape[3])).to(h)
    side = math.isqrt(h.shape[1]) if h.ndim == 3 else 0
    if h.ndim != 3 or side**2 != h.shape[1]:
        raise BadInputError(
            f'A mask has no meaning at "{site}": its shape {tuple(h.shape[1:])} is neither a map '
            "nor a square of tokens. Steer at another site, or without a mask."
        )
    return functional.adaptive_avg_pool2d(mask, (side, side)).flatten(1)[..., None].to(h)


def _as_strengths(
    strength: float | int | Sequence[float] | Tensor, vectors: int
) -> Float[Tensor, "vector sample"]:
    """Bring strengths to one row a vector; one number a vector and sample, or one for all."""
    given = torch.as_tensor(strength, dtype=torch.float64)
    wide = given.reshape(1, -1) if given.ndim < 2 else given
    if given.ndim > 2 or len(wide) not in (1, vectors) or not bool(torch.isfinite(given).all()):
        raise BadInputError(
            f"A strength of shape {tuple(given.shape)} was given for {vectors} vector(s): finite "
            "numbers are allowed, one, one a sample, or (vector, sample)."
        )
    return wide.expand(vectors, -1)


def _as_mask(mask: Float[Tensor, "*batch height width"]) -> Float[Tensor, "sample 1 height width"]:
    wide = mask[None] if mask.ndim == 2 else mask
    if wide.ndim != 3 or not bool(((wide >= 0) & (wide <= 1)).all()):
        raise BadInputError(
            f"A mask of shape {tuple(mask.shape)} was given: (height, width) or (sample, height, "
            "width) with values in [0, 1] is allowed."
        )
    return wide[:, None].float()


def _check_words(window: Window | None, mode: Mode, *, affine: bool) -> None:
    if window is not None and not 0 <= window[0] < window[1]:
        raise BadInputError(
            f"The window {window} is none: give the lowest and the highest noise level, data "
            "units, as (low, high)."
        )
    if mode not in MODES:
        raise BadInputError(f'No mode "{mode}": {", ".join(MODES)} are known.')
    if affine and mode != "remove":
        raise BadInputError(f'affine=True belongs to mode="remove" and not to "{mode}".')


def _check_sites(denoiser: Denoiser, vectors: Sequence[ConceptVector]) -> None:
    if not vectors:
        raise BadInputError("No concept vector was given to steer with.")
    calls = {site.name: site.calls for site in sites(denoiser)}
    wanted = {site for vector in vectors for site in vector.sites}
    repeated = [site for site in select_sites(denoiser, wanted) if calls[site] > 1]
    if repeated:
        raise CaptureError(
            f'The site "{repeated[0]}" fires more than once in a forward, so it names no single '
            "place. Choose another site."
        )


class _Enough(BaseException):
    """Ends a probing forward before anything is computed."""


def _check_calls(denoiser: Denoiser) -> None:
    """Make sure that noise levels can be read from calls, by calls whose level is known."""
    for share in _PROBES:
        sigma = denoiser.snap(share * denoiser.data_std)
        call = _probe(denoiser, sigma)
        if call is None or not bool(((call.sigma / sigma - 1).abs() < READABLE).all()):
            raise BadInputError(
                f"The noise level of a call of this {type(denoiser.network).__name__} cannot be "
                "read. A module of your own must take the sample first and sigma second; wrap it "
                "so with equipoise.wrap."
            )


def _probe(denoiser: Denoiser, sigma: float) -> NetworkCall | None:
    """Catch what the network is told at a level, and end the call there."""
    caught: list[NetworkCall | None] = []

    def catch(_: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(read_call(denoiser, args, kwargs))
        raise _Enough

    device = device_of(denoiser)
    x = torch.zeros((1, *denoiser.sample_shape), device=device)
    handle = denoiser.network.register_forward_pre_hook(catch, prepend=True, with_kwargs=True)
    try:
        denoiser.denoise(x, x.new_full((1,), sigma), denoiser.null_condition(1))
    except _Enough:
        pass
    finally:
        handle.remove()
    return caught[0] if caught else None


def _tell_idle(called: Sequence[float], window: Window | None, guidance: Guidance) -> str:
    if not called:
        return (
            "Nothing was steered: the model's network was not called inside the `with`. Call the "
            "pipeline or the denoiser once inside it."
        )
    where = "" if window is None else f" and in the window {window}"
    return (
        f"Nothing was steered: the network was called at noise levels from {min(called):.4g} to "
        f'{max(called):.4g}, and no row was in the half "{guidance}"{where}. Widen the window, or '
        "choose another half."
    )
