"""The families of pipelines that are looked into, and the door for others.

What diffusers does by class is known here and guessed nowhere: what makes a denoiser of a
pipeline, which argument of its call names the outputs, and whether a guided forward holds every
sample twice. `docs/adding-a-family.md` says how to add one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from equipoise.denoisers.dit import build_dit
from equipoise.denoisers.flux import build_flux
from equipoise.denoisers.flux2 import build_flux2
from equipoise.denoisers.pixart import PIXART
from equipoise.denoisers.placement import check_placed
from equipoise.denoisers.protocol import Denoiser
from equipoise.denoisers.stable_diffusion import build_stable_diffusion
from equipoise.denoisers.stable_diffusion_3 import STABLE_DIFFUSION_3
from equipoise.denoisers.stable_diffusion_xl import STABLE_DIFFUSION_XL
from equipoise.denoisers.text_to_image import TextFamily, build_of_family
from equipoise.denoisers.unet2d import build_unet2d
from equipoise.errors import BadInputError, quote


@dataclass(frozen=True)
class Family:
    """What is known of a class of pipelines.

    Args:
        name: A word for it, see `equipoise.load`.
        build: `build(pipeline)` makes a denoiser; its further words, such as `size`, are words of
            `equipoise.load`.
        wanted: Argument of the pipeline's call that names the outputs, or their number.
        empty_half: Place of the empty condition in a guided batch, 0 or 1; None where a forward
            never holds a sample twice.
    """

    name: str
    build: Callable[..., Denoiser]
    wanted: str = "prompt"
    empty_half: int | None = None


def _build_dit(pipeline: Any) -> Denoiser:  # noqa: ANN401 - diffusers is optional
    return build_dit(pipeline.transformer, pipeline.scheduler, vae=pipeline.vae)


def _build_unet2d(pipeline: Any) -> Denoiser:  # noqa: ANN401
    return build_unet2d(pipeline.unet, pipeline.scheduler)


def _of_text(name: str, known: TextFamily) -> Family:
    return Family(name, partial(build_of_family, known), empty_half=0)


_UNET2D = Family("unet2d", _build_unet2d, wanted="batch_size")
_PIXART = _of_text("pixart", PIXART)
_FLUX2 = Family("flux2", build_flux2)
FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": Family("stable-diffusion", build_stable_diffusion, empty_half=0),
    "StableDiffusionXLPipeline": _of_text("stable-diffusion-xl", STABLE_DIFFUSION_XL),
    "StableDiffusion3Pipeline": _of_text("stable-diffusion-3", STABLE_DIFFUSION_3),
    "PixArtAlphaPipeline": _PIXART,
    "PixArtSigmaPipeline": _PIXART,
    "FluxPipeline": Family("flux", build_flux),
    "Flux2Pipeline": _FLUX2,
    "Flux2KleinPipeline": _FLUX2,
    "DiTPipeline": Family("dit", _build_dit, wanted="class_labels", empty_half=1),
    "DDPMPipeline": _UNET2D,
    "DDIMPipeline": _UNET2D,
    "PNDMPipeline": _UNET2D,
    "ScoreSdeVePipeline": _UNET2D,
}
"""What is known, by the name of the pipeline's class."""


def build_from_pipeline(pipeline: object) -> Denoiser:
    """Make a denoiser of a live pipeline of a known family, which is not changed.

    Raises:
        BadInputError: for a pipeline of another family; names those that are known.
    """
    return find_family(pipeline).build(pipeline)


def register_family(pipeline: str, family: Family) -> None:
    """Let every door of this package take pipelines of a further class.

    Args:
        pipeline: Name of the class; pipelines of classes below it are taken too.
        family: What is known of it.

    Raises:
        BadInputError: when the class is known already.
    """
    if FAMILIES.setdefault(pipeline, family) is not family:
        raise BadInputError(f'A "{pipeline}" is known already and keeps its family.')


def find_family(pipeline: object) -> Family:
    """Return what is known of a live pipeline.

    Raises:
        BadInputError: for a pipeline of another family, which names those that are known; or for
            one whose weights are offloaded layer by layer.
    """
    check_placed(pipeline)
    names = [base.__name__ for base in type(pipeline).__mro__]
    return get_family(next((name for name in names if name in FAMILIES), names[0]))


def get_family(name: str) -> Family:
    """Return what is known of a class of pipelines.

    Raises:
        BadInputError: when nothing is known; names those that are known.
    """
    if name not in FAMILIES:
        raise BadInputError(
            f"Cannot look into a {quote(name)}: known are {', '.join(FAMILIES)}. Make a denoiser "
            "of your own module with equipoise.wrap, or see docs/adding-a-family.md."
        )
    return FAMILIES[name]
