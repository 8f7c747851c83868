"""Open diffusers pipelines: live ones and folders; the family is told by the class.

Nothing is fetched and nothing in a folder is run: safetensors only, no code of the model's own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from equipoise.denoisers.dit import build_dit
from equipoise.denoisers.stable_diffusion import build_stable_diffusion
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError

INDEX = "model_index.json"


def _build_dit(pipeline: Any) -> TimedDenoiser:  # noqa: ANN401 - diffusers is optional
    return build_dit(pipeline.transformer, pipeline.scheduler, vae=pipeline.vae)


FAMILIES: dict[str, Callable[[Any], TimedDenoiser]] = {
    "StableDiffusionPipeline": build_stable_diffusion,
    "DiTPipeline": _build_dit,
}
"""What makes a denoiser of a pipeline, by the name of its class."""


def build_from_pipeline(pipeline: Any) -> TimedDenoiser:  # noqa: ANN401
    """Make a denoiser of a live diffusers pipeline, which is not changed.

    Raises:
        BadInputError: for a pipeline of another family; names those that are known.
    """
    for base in type(pipeline).__mro__:
        if base.__name__ in FAMILIES:
            return FAMILIES[base.__name__](pipeline)
    raise BadInputError(
        f"Cannot look into a {type(pipeline).__name__}: known are {', '.join(FAMILIES)}. Make a "
        "denoiser of your own module with equipoise.wrap."
    )


def load_pipeline(folder: Path) -> Any:  # noqa: ANN401
    """Open a diffusers folder, offline.

    Raises:
        BadInputError: when diffusers is missing or cannot open it, with the reason.
    """
    try:
        from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    except ImportError as error:
        raise BadInputError(
            f'Opening "{folder}" needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    try:
        return DiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, safety_checker=None
        )
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(f'"{folder}" cannot be opened as a pipeline: {reason}') from error
