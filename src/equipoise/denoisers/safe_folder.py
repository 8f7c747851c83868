"""Safe folders: what was read out of a pickle, as safetensors and JSON; opened by our own code.

    equipoise.json       version, family, and what the network is built from
    model.safetensors    its tensors by their own names
    vae/                 of a DiT on latents, as diffusers saves it, if one was given

Pipelines of diffusers need no such folder: diffusers' own is safe.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from equipoise.checkpoints.folder import read_json
from equipoise.denoisers.dit_file import build_dit_file
from equipoise.denoisers.pipeline import load_vae
from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.snapshot import EdmParts, build_from_parts
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError, UnsafeFileError
from equipoise.runs.atomic import write_atomic

INDEX = "equipoise.json"
WEIGHTS = "model.safetensors"
VAE = "vae"
VERSION = 1
FAMILIES = ("edm", "dit")


def save_edm(parts: EdmParts, folder: Path) -> None:
    """Write the averaged network of an EDM snapshot."""
    told = {
        "family": "edm", "preconditioning": parts.preconditioning,
        "scalars": dict(parts.scalars), "network": parts.network, "words": dict(parts.words),
    }  # fmt: skip
    _save(folder, told, parts.tensors)


def save_dit(
    tensors: Mapping[str, Tensor],
    folder: Path,
    *,
    heads: int | None,
    vae: Any = None,  # noqa: ANN401 - diffusers is optional
) -> None:
    """Write the weights of an official DiT, and its autoencoder where there is one."""
    if vae is not None:
        vae.save_pretrained(folder / VAE, safe_serialization=True)
    _save(folder, {"family": "dit", "heads": heads}, tensors)


def read_safe_index(folder: Path) -> dict[str, Any]:
    """Read what a safe folder says of itself.

    Raises:
        BadInputError: when it cannot be read, or was written by a later version.
    """
    told = read_json(folder / INDEX)
    if told.get("version") != VERSION or told.get("family") not in FAMILIES:
        raise BadInputError(
            f'"{folder / INDEX}" is of version {told.get("version")} and family '
            f"{told.get('family')}; version {VERSION} of {', '.join(FAMILIES)} is read."
        )
    return told


def load_safe_folder(folder: Path) -> PreconditionedDenoiser | TimedDenoiser:
    """Make a denoiser of a safe folder.

    Raises:
        BadInputError: when its parts do not fit.
        UnsafeFileError: when the weights are damaged.
        NonFiniteError: when a weight is NaN or infinite.
    """
    told = read_safe_index(folder)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise UnsafeFileError(
            f'"{folder / WEIGHTS}" is missing, damaged or ends early: {error}.'
        ) from error
    if told["family"] == "dit":
        vae = load_vae(folder / VAE) if (folder / VAE).is_dir() else None
        return build_dit_file(tensors, heads=told.get("heads"), vae=vae)
    try:
        names = (told["preconditioning"], told["scalars"], told["network"], told["words"])
    except KeyError as error:
        raise BadInputError(f'"{folder / INDEX}" lacks {error}.') from error
    return build_from_parts(EdmParts(*names, tensors))


def _save(folder: Path, told: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    write_atomic(folder / WEIGHTS, save(kept))
    # The index comes last: a folder that has one is whole.
    write_atomic(folder / INDEX, json.dumps({"version": VERSION, **told}, indent=1).encode())
