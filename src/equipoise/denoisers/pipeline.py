"""Open the folders and single files of diffusers' pipelines; told by the class.

Nothing is fetched and nothing of theirs is run: safetensors only, known classes only, no code of
the model's own. Every network is first built without memory and compared with its file's header,
because a configuration of a kilobyte can ask for a network of terabytes, and because diffusers
fills what a file lacks with random numbers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from equipoise.checkpoints.archive import Weights
from equipoise.checkpoints.folder import (
    CONFIG,
    NETWORKS,
    check_numbers,
    count_numbers,
    read_components,
    read_index,
    read_json,
)
from equipoise.denoisers.family import get_family
from equipoise.denoisers.protocol import check_finite_weights
from equipoise.errors import BadInputError, EquipoiseError, UnsafeFileError, quote

STABLE_DIFFUSION = "StableDiffusionPipeline"
PARTS = {
    "unet": "model.diffusion_model.", "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.",
}  # fmt: skip
"""The networks of a single file, by the prefixes of their weights."""
# What opening a damaged folder or file of diffusers can raise.
DAMAGE = (OSError, ValueError, TypeError, AttributeError, RuntimeError, KeyError, IndexError)


def load_pipeline(folder: Path) -> Any:  # noqa: ANN401
    """Open a diffusers folder of a known family, offline.

    Raises:
        BadInputError: when diffusers is missing or cannot open it, with the reason.
        UnsafeFileError: when it asks for code of its own, or for more than its files hold.
    """
    diffusers = _import_diffusers(folder)
    name = read_index(folder)
    get_family(name)  # only known classes are taken from diffusers
    _check_sizes(folder, read_components(folder))
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
    components = read_components(config)
    for part, prefix in PARTS.items():
        inside = [t for name, t in weights.tensors.items() if name.startswith(prefix)]
        numbers = sum(tensor.numel() for tensor in inside)
        _check_size(config / part, components.get(part, ""), numbers)
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
    _check_size(folder, "AutoencoderKL", count_numbers(folder))
    return _open(
        folder,
        lambda: diffusers.AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        ),
    )


def _check_sizes(folder: Path, components: Mapping[str, str]) -> None:
    """Check every network of a folder against the headers of its files."""
    for part, name in components.items():
        if name in NETWORKS and (folder / part).is_dir():
            numbers = count_numbers(folder / part)
            if not numbers:
                raise BadInputError(
                    f'"{folder}" cannot be opened as a pipeline: its {part} holds no safetensors. '
                    "Pickled weights (.bin) of a folder are not opened; save it as safetensors."
                )
            _check_size(folder / part, name, numbers)


def _check_size(folder: Path, name: str, numbers: int) -> None:
    """Build a network without memory, and refuse it when its file holds fewer numbers."""
    check_numbers(folder / CONFIG)
    config = read_json(folder / CONFIG)
    if "quantization_config" in config:
        raise BadInputError(
            f'"{folder}" holds quantised weights, which are not opened from a folder. Open it '
            "with diffusers, and give the live pipeline to equipoise.load."
        )
    if name not in NETWORKS:
        raise UnsafeFileError(f'"{folder}" holds a {quote(name)}, which is not opened.')
    try:
        with torch.device("meta"):
            network = _build_empty(name, config)
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


def _build_empty(name: str, config: dict[str, Any]) -> nn.Module:
    """Build a network of a known class from its configuration."""
    if NETWORKS[name] == "transformers":
        import transformers

        kind = getattr(transformers, name)
        return kind(kind.config_class(**config))
    import diffusers

    return getattr(diffusers, name).from_config(config)


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
