"""Apply concept vectors while a model runs: in the pipeline's own call, or in any loop.

    with steer(pipeline, vector, strength=0.8, window=(0.2, 1.5)):
        image = pipeline("a portrait of a man").images[0]

Hooks change what passes a site, in a copy, and come off on every exit. At every call of the
network its noise levels are read from what it is told, so no call is counted and the window is
one in sigma, whatever the scheduler. Where strength is 0 the activation is left alone bit for bit.

Hooks fire in the order they were set: of nested `steer` and `capture` the outer one comes first,
so a capture inside sees the steered activations. Compiled modules run eagerly inside.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.denoisers.halves import build_half_reader
from equipoise.denoisers.network_call import find_empty
from equipoise.denoisers.readable import check_readable
from equipoise.errors import BadInputError, CaptureError
from equipoise.loading import load
from equipoise.representation import select_sites, sites
from equipoise.representation.site import uncompiled
from equipoise.steering.arithmetic import MODES, Mode
from equipoise.steering.guidance import Guidance, check_guidance
from equipoise.steering.rows import Strength, as_mask, as_strengths
from equipoise.steering.session import Order, Session, Steered, Window
from equipoise.steering.vector import ConceptVector


@contextmanager
def steer(
    model: object,
    vectors: ConceptVector | Sequence[ConceptVector],
    *,
    strength: Strength = 1.0,
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
    for vector in {vector.record.fingerprint: vector for vector in given}.values():
        vector.check_model(denoiser, type(denoiser.network).__name__)
    _check_words(window, mode, affine=affine)
    empty = find_empty(denoiser)
    check_guidance(guidance, model, empty)
    _check_sites(denoiser, given)
    check_readable(denoiser)
    order = Order(
        given, as_strengths(strength, len(given)), window or (0.0, math.inf), mode, guidance,
        None if mask is None else as_mask(mask), affine,
    )  # fmt: skip
    session = Session(denoiser, order, build_half_reader(model, empty))
    with ExitStack() as stack:
        stack.enter_context(uncompiled(denoiser.network))
        for handle in session.register():
            stack.callback(handle.remove)
        yield session.log
    if not session.log.steered:
        raise BadInputError(_tell_idle(session.log.called, window, guidance))


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
