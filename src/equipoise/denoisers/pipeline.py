"""Open diffusers pipelines: live ones, folders and single files; told by the class.

Nothing is fetched and nothing of theirs is run: safetensors only, known classes only, no code of
the model's own. Every network is first built without memory and compared with its file's header,
because a configuration of a kilobyte can ask for a network of terabytes, and because diffusers
fills what a file lacks with random numbers.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from equipoise.checkpoints.archive import Weights
from equipoise.checkpoints.folder import (
    COMPONENTS,
    CONFIG,
    check_numbers,
    count_numbers,
    read_index,
    read_json,
)
from equipoise.denoisers.dit import build_dit
from equipoise.denoisers.protocol import Denoiser, check_finite_weights
from equipoise.denoisers.stable_diffusion import build_stable_diffusion
from equipoise.denoisers.unet2d import build_unet2d
from equipoise.errors import BadInputError, EquipoiseError, UnsafeFileError, quote

STABLE_DIFFUSION = "StableDiffusionPipeline"
PARTS = {
    "unet": "model.diffusion_model.", "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.",
}  # fmt: skip
"""The networks of a single file, by the prefixes of their weights."""
# What opening a damaged folder or file of diffusers can raise.
DAMAGE = (OSError, ValueError, TypeError, AttributeError, RuntimeError, KeyError, IndexError)


def _build_dit(pipeline: Any) -> Denoiser:  # noqa: ANN401 - diffusers is optional
    return build_dit(pipeline.transformer, pipeline.scheduler, vae=pipeline.vae)


def _build_unet2d(pipeline: Any) -> Denoiser:  # noqa: ANN401
    return build_unet2d(pipeline.unet, pipeline.scheduler)


FAMILIES: dict[str, Callable[[Any], Denoiser]] = {
    STABLE_DIFFUSION: build_stable_diffusion,
    "DiTPipeline": _build_dit,
    "DDPMPipeline": _build_unet2d,
    "DDIMPipeline": _build_unet2d,
    "PNDMPipeline": _build_unet2d,
    "ScoreSdeVePipeline": _build_unet2d,
}
"""What makes a denoiser of a pipeline, by the name of its class."""


def build_from_pipeline(pipeline: Any) -> Denoiser:  # noqa: ANN401
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
        UnsafeFileError: when it asks for code of its own, or for more than its files hold.
    """
    diffusers = _import_diffusers(folder)
    name = read_index(folder)
    if name not in FAMILIES:
        raise BadInputError(f'"{folder}" holds a {quote(name)}; known are {", ".join(FAMILIES)}.')
    _check_sizes(folder)
    optional = {"safety_checker": None} if name == STABLE_DIFFUSION else {}
    return _open(
        folder,
        lambda: getattr(diffusers, name).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, **optional
        ),
    )


def load_single_file(path: Path, weights: Weights, config: Path) -> Any:  # noqa: ANN401
    """Open a single file of Stable Diffusion 1.x, offline.

    Args:
        path: The file.
        weights: What it holds, read by us; diffusers gets only these, as safetensors.
        config: Folder of diffusers with the same architecture; its weights are not needed.

    Raises:
        BadInputError: when diffusers is missing or cannot open it, with the reason.
    """
    diffusers = _import_diffusers(path)
    if read_index(config) != STABLE_DIFFUSION:
        raise BadInputError(f'"{config}" is no folder of a {STABLE_DIFFUSION}.')
    for part, prefix in PARTS.items():
        inside = [t for name, t in weights.tensors.items() if name.startswith(prefix)]
        _check_size(config / part, part, sum(tensor.numel() for tensor in inside))
    with TemporaryDirectory() as folder:
        copied = Path(folder) / "weights.safetensors"
        save_file(_take_averaged(weights.tensors), copied)
        return _open(
            path,
            lambda: getattr(diffusers, STABLE_DIFFUSION).from_single_file(
                str(copied), config=str(config), local_files_only=True, safety_checker=None
            ),
        )


def _take_averaged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take averaged weights of the U-Net where a file has both, and copy all.

    Their names are those of the plain ones without dots: `model.diffusion_model.out.0.bias` is
    `model_ema.diffusion_modelout0bias`.
    """
    taken = {}
    for name, tensor in tensors.items():
        averaged = "model_ema." + name.removeprefix("model.").replace(".", "")
        if not name.startswith("model_ema."):
            taken[name] = tensors.get(averaged, tensor).clone()
    return taken


def load_vae(folder: Path) -> Any:  # noqa: ANN401
    """Open the folder of an `AutoencoderKL`, offline.

    Raises:
        BadInputError: when diffusers is missing or cannot open it, with the reason.
    """
    diffusers = _import_diffusers(folder)
    _check_size(folder, "vae", count_numbers(folder))
    return _open(
        folder,
        lambda: diffusers.AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        ),
    )


def _check_sizes(folder: Path) -> None:
    """Check every network of a folder against the headers of its files."""
    for part in NETWORKS:
        if (folder / part).is_dir():
            numbers = count_numbers(folder / part)
            if not numbers:
                raise BadInputError(
                    f'"{folder}" cannot be opened as a pipeline: its {part} holds no safetensors. '
                    "Pickled weights (.bin) of a folder are not opened; save it as safetensors."
                )
            _check_size(folder / part, part, numbers)


def _check_size(folder: Path, part: str, numbers: int) -> None:
    """Build a network without memory, and refuse it when its file holds fewer numbers."""
    check_numbers(folder / CONFIG)
    config = read_json(folder / CONFIG)
    try:
        with torch.device("meta"):
            network = NETWORKS[part](config)
    except EquipoiseError:
        raise
    except DAMAGE as error:
        raise BadInputError(
            f'"{folder / CONFIG}" describes no network: {_first_line(error)}'
        ) from error
    asked = sum(parameter.numel() for parameter in network.parameters())
    if asked > numbers:
        raise UnsafeFileError(
            f'"{folder / CONFIG}" asks for a network of {asked} numbers, and the file holds '
            f"{numbers}. One of them is damaged, or they do not belong together."
        )


def _build_text_encoder(config: dict[str, Any]) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(**config))


def _build_diffusers(config: dict[str, Any]) -> nn.Module:
    import diffusers

    name = config.get("_class_name")
    if ("diffusers", str(name)) not in COMPONENTS:
        raise UnsafeFileError(f"A configuration asks for a {quote(name)}, which is not opened.")
    return getattr(diffusers, str(name)).from_config(config)


NETWORKS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "unet": _build_diffusers,
    "vae": _build_diffusers,
    "transformer": _build_diffusers,
    "text_encoder": _build_text_encoder,
}
"""What builds the networks of a pipeline from their configurations."""


def _import_diffusers(path: Path) -> Any:  # noqa: ANN401
    try:
        import diffusers
        import diffusers.pipelines.pipeline_utils
    except ImportError as error:
        raise BadInputError(
            f'Opening "{path}" needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    return diffusers


def _open(path: Path, read: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Open a pipeline or a network, and check its weights."""
    try:
        opened = read()
    except DAMAGE as error:
        raise BadInputError(
            f'"{path}" cannot be opened as a pipeline: {_first_line(error)}'
        ) from error
    parts = [opened] if isinstance(opened, nn.Module) else opened.components.values()
    for part in parts:
        if isinstance(part, nn.Module):
            check_finite_weights(part)
    return opened


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
