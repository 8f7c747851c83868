r"""Open a model to look into, whatever it comes as; nothing in a file is run, nothing is fetched.

    load("zoo:edm-fashion")                        a model of the zoo
    load("network-snapshot-200000.pkl")            a snapshot of EDM
    load("DiT-XL-2-256x256.pt", vae="sd-vae/")     a file of the official DiT
    load("sd-v1-4.ckpt", config="sd-v1-4/")        a single file of Stable Diffusion 1.x
    load("stable-diffusion-v1-4/")                 a folder that diffusers saved
    load("CompVis/stable-diffusion-v1-4")          the same, from the local cache of the hub
    load("FLUX.1-dev/", size=(768, 1024))          for pictures of another size
    load(pipeline)                                 a live pipeline
    load(unet, scheduler=scheduler)                a live model of diffusers
    load(module, sample_shape=..., data_std=...)   anybody's module, see `equipoise.wrap`

A file is told by its content and not by its name. Words that have no meaning for what was found
are refused: they would be ignored.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from equipoise.checkpoints.archive import Weights
from equipoise.checkpoints.file import open_checkpoint
from equipoise.checkpoints.folder import CONFIG, INDEX, read_index
from equipoise.checkpoints.snapshot import Snapshot
from equipoise.denoisers import Denoiser, check_device, wrap
from equipoise.denoisers.description import describe
from equipoise.denoisers.dit import build_dit
from equipoise.denoisers.dit_file import MARK as DIT_MARK
from equipoise.denoisers.dit_file import build_dit_file
from equipoise.denoisers.family import build_from_pipeline, find_family, get_family
from equipoise.denoisers.pipeline import load_pipeline, load_single_file, load_vae
from equipoise.denoisers.safe_folder import INDEX as SAFE_INDEX
from equipoise.denoisers.safe_folder import load_safe_folder, read_safe_index
from equipoise.denoisers.snapshot import build_from_snapshot
from equipoise.denoisers.stable_diffusion import MARK as STABLE_DIFFUSION_MARK
from equipoise.denoisers.unet2d import build_unet2d
from equipoise.errors import BadInputError, quote
from equipoise.zoo.package import load_denoiser

ZOO_PREFIX = "zoo:"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
logger = logging.getLogger(__name__)


def load(
    source: object,
    *,
    device: str = "cpu",
    family: str | None = None,
    **words: Any,  # noqa: ANN401 - told below; each kind of source has its own
) -> Denoiser:
    """Load a model to look into, and say in one line of the log what it is.

    Args:
        source: "zoo:NAME"; a file (EDM snapshot, DiT, Stable Diffusion 1.x); a folder that
            diffusers saved; the id of a hub model in the local cache; a live pipeline or model of
            diffusers; any module, with the words of `equipoise.wrap`; or a denoiser, which is
            returned as it is.
        device: Where a loaded model computes, "cpu" or "cuda".
        family: What must be found, "zoo", "edm" or the name of a family of pipelines; anything
            else is refused. None takes what comes.
        **words: For pipelines of text-to-image models `size`, height and width of the pictures,
            pixels; for FLUX `guidance`, what a distilled network is told. For single files of
            Stable Diffusion `config`, a folder of diffusers with the same architecture. For DiT
            files `vae`, the folder of its VAE, and `heads`, where its width was never published.
            For live models of diffusers `scheduler`, and `vae`. For any other module those of
            `equipoise.wrap`.

    Raises:
        UnknownModelError: when the zoo has no such model.
        BadInputError: when the source is of another kind, a word has no meaning for it, or the
            device is not there.
        UnsafeFileError: when a file asks for more than weights, or is damaged.
        NonFiniteError: when a weight is NaN or infinite.

    Example:
        >>> load("zoo:edm-fashion").sample_shape
        (1, 16, 16)
    """
    check_device(device)
    opened = _open(source)
    if family is not None and family != opened.family:
        raise BadInputError(
            f'"{source}" holds a model of the family "{opened.family}", and "{family}" was asked '
            "for."
        )
    _check_words(opened, words)
    denoiser = opened.build(**words)
    if isinstance(source, (str, Path)):
        denoiser = _place(denoiser, device)
    logger.info("%s", describe(denoiser))
    return denoiser


@dataclass(frozen=True)
class _Opened:
    """What a source is, and what makes a denoiser of it.

    Its words are those of `like`, by default of `build`.
    """

    family: str
    build: Callable[..., Denoiser]
    like: Callable[..., Denoiser] | None = None

    @property
    def words(self) -> Mapping[str, Parameter]:
        """Words with a meaning for this source."""
        return signature(self.like or self.build).parameters


def _open(source: object) -> _Opened:
    if isinstance(source, Denoiser):
        given = source
        return _Opened("denoiser", lambda: given)
    if isinstance(source, nn.Module):
        return _open_module(source)
    if not isinstance(source, (str, Path)):
        known = find_family(source)
        return _Opened(known.name, partial(known.build, source))
    name, path = str(source), Path(source)
    if name.startswith(ZOO_PREFIX):
        return _Opened("zoo", lambda: load_denoiser(name))
    if path.is_dir():
        return _open_folder(path)
    if path.exists():
        return _open_file(path)
    if HUB_ID.fullmatch(name):
        return _open_folder(_find_in_cache(name))
    raise BadInputError(
        f'Cannot load "{source}": no such file or folder. A file, a folder that diffusers '
        'saved, "zoo:NAME" or the id of a hub model is allowed; `equipoise zoo list` lists the '
        "zoo."
    )


def _open_module(module: nn.Module) -> _Opened:
    """Open a live model: diffusers' own need a scheduler, others the words of `wrap`."""
    names = {base.__name__ for base in type(module).__mro__}
    if "UNet2DModel" in names:
        return _Opened("unet2d", lambda scheduler: build_unet2d(module, scheduler))
    if "DiTTransformer2DModel" in names:
        return _Opened("dit", partial(build_dit, module))
    if "UNet2DConditionModel" in names:
        raise BadInputError(
            "A UNet2DConditionModel alone has no empty prompt to look with. Load its pipeline."
        )
    return _Opened("module", partial(wrap, module))


def _open_folder(folder: Path) -> _Opened:
    if (folder / SAFE_INDEX).is_file():
        return _Opened(read_safe_index(folder)["family"], lambda: load_safe_folder(folder))
    if not (folder / INDEX).is_file():
        alone = " It is the folder of one model: load the folder above it."
        raise BadInputError(
            f'"{folder}" is no folder of a pipeline that diffusers saved: it has no {INDEX}.'
            + (alone if (folder / CONFIG).is_file() else "")
        )
    known = get_family(read_index(folder))
    return _Opened(
        known.name,
        lambda **words: known.build(load_pipeline(folder), **words),
        like=partial(known.build, None),
    )


def _open_file(path: Path) -> _Opened:
    contents = open_checkpoint(path)
    if isinstance(contents, Snapshot):
        return _Opened("edm", lambda: build_from_snapshot(contents))
    if DIT_MARK in contents.tensors:
        return _Opened("dit", partial(_build_dit, contents))
    if STABLE_DIFFUSION_MARK in contents.tensors:
        return _Opened("stable-diffusion", partial(_build_stable_diffusion, path, contents))
    raise BadInputError(
        f'"{path}" holds {len(contents.tensors)} tensors of no known family (EDM, DiT, Stable '
        f"Diffusion 1.x), the first called {quote(next(iter(contents.tensors)))}. Load them into "
        "your own module and give it to equipoise.wrap."
    )


def _build_dit(
    weights: Weights, *, heads: int | None = None, vae: str | Path | None = None
) -> Denoiser:
    opened = None if vae is None else load_vae(Path(vae))
    return build_dit_file(weights.tensors, heads=heads, vae=opened)


def _build_stable_diffusion(
    path: Path, weights: Weights, *, config: str | Path | None = None
) -> Denoiser:
    if config is None:
        raise BadInputError(
            f'"{path}" holds the weights of a Stable Diffusion 1.x and not its configuration, and '
            "nothing is fetched. Give config=FOLDER, a folder of diffusers with the same "
            "architecture; its weights are not needed."
        )
    return build_from_pipeline(load_single_file(path, weights, Path(config)))


def _find_in_cache(name: str) -> Path:
    """Return the folder of a hub model in the local cache."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise BadInputError(
            f'Opening "{name}" needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        raise BadInputError(
            f'"{name}" is no file or folder here, and no model of this name is in the local cache '
            f"of the hub. Nothing is fetched: get it first with `hf download {name}`."
        ) from error


def _check_words(opened: _Opened, words: dict[str, Any]) -> None:
    """Refuse words that would be ignored, and say which are missing."""
    parameters = opened.words
    unknown = [word for word in words if word not in parameters]
    missing = [
        name for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in words
    ]  # fmt: skip
    if unknown or missing:
        allowed = ", ".join(parameters) or "none"
        told = f"without {', '.join(missing)}" if missing else f"with {', '.join(unknown)}"
        raise BadInputError(
            f'A model of the family "{opened.family}" cannot be loaded {told}. Words for it: '
            f"{allowed}."
        )


def _place(denoiser: Any, device: str) -> Denoiser:  # noqa: ANN401 - all of ours can be moved
    """Move a denoiser to a device in float32; one that is there is not copied."""
    weights = [*denoiser.network.parameters(), *denoiser.network.buffers()]
    numbers = [tensor for tensor in weights if tensor.is_floating_point()]
    if device == "cpu" and all(n.dtype == torch.float32 and n.is_cpu for n in numbers):
        return denoiser
    return denoiser.to(device, torch.float32)
