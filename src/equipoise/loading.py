"""Open a model to look into, whatever it comes as; nothing in a file is run."""

from pathlib import Path

import torch

from equipoise.denoisers import (
    INDEX,
    Denoiser,
    build_from_pipeline,
    check_device,
    load_pipeline,
)
from equipoise.errors import BadInputError
from equipoise.zoo.package import load_zoo

ZOO_PREFIX = "zoo:"


def load(source: object, *, device: str = "cpu") -> Denoiser:
    """Load a model to look into.

    Args:
        source: "zoo:NAME"; a folder that diffusers saved (Stable Diffusion 1.x, DiT); a live
            diffusers pipeline; or a denoiser, which is returned as it is.
        device: Where a loaded model computes, "cpu" or "cuda".

    Raises:
        UnknownModelError: when the zoo has no such model.
        BadInputError: when the source is of another kind, or the device is not there.

    Example:
        >>> load("zoo:edm-fashion").sample_shape
        (1, 16, 16)
    """
    if isinstance(source, Denoiser):
        return source
    if not isinstance(source, (str, Path)):
        return build_from_pipeline(source)
    check_device(device)
    if str(source).startswith(ZOO_PREFIX):
        return load_zoo(str(source)).denoiser.to(device, torch.float32)
    if (Path(source) / INDEX).is_file():
        return build_from_pipeline(load_pipeline(Path(source))).to(device, torch.float32)
    raise BadInputError(
        f'Cannot load "{source}": "zoo:NAME", a folder that diffusers saved, a live pipeline or a '
        "denoiser is allowed. List the zoo with `equipoise zoo list`, or make a denoiser of your "
        "own module with equipoise.wrap."
    )
