"""What the theory's figures are drawn from: real images, and a real model that memorized some."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from equipoise.images import as_unit
from equipoise.theory.figures import Subject
from equipoise.theory.regime import Images
from equipoise.zoo.fashion import DEBIAN_FOLDER, FILES, read_images, shrink
from equipoise.zoo.package import load_zoo

NUM_IMAGES, NUM_HELD_OUT = 10_000, 1000
SIDE = 16
"""Height and width of the images, in px."""
MODEL = "edm-fashion"
SHOWN = 5
"""Samples of each kind at which the model's Jacobian is looked at."""
SIGMA_SHARE = 0.6
"""Noise level of the model's Jacobian, of the standard deviation of its data."""


def build_images(data: Path | None) -> Images:
    """Take 10,000 images of Fashion-MNIST, or the 5,000 that ship where there are no more.

    Args:
        data: Folder with the gzip files; None takes Debian's package if it is installed.

    Raises:
        BadInputError: when a folder is given and does not hold the files.
    """
    folder = DEBIAN_FOLDER if data is None else data
    if data is None and not (folder / FILES["train"]).is_file():
        model = load_zoo(MODEL)
        shipped = model.training_set.images[: model.recipe.num_images]
        told = "Fashion-MNIST, the 5,000 images that ship (the full data set is not installed)"
        return Images(_flatten(shipped), _flatten(model.held_out), told)
    everything = read_images("train", folder)
    rows = torch.randperm(len(everything), generator=torch.Generator().manual_seed(1))
    return Images(
        _flatten(shrink(everything[rows[:NUM_IMAGES]], SIDE)),
        _flatten(shrink(read_images("test", folder)[:NUM_HELD_OUT], SIDE)),
        "Fashion-MNIST",
    )


def build_subject() -> Subject:
    """Take the planted images that a model of the zoo copies most, and images it never saw."""
    model = load_zoo(MODEL)
    counts = model.card["outputs"]["copies_by_planted_image"]
    most = sorted(counts, key=lambda index: -counts[index])[:SHOWN]
    memorized = model.training_set.images[[int(index) for index in most]]
    encode, std = model.denoiser.encode, model.denoiser.data_std
    return Subject(
        f"zoo:{MODEL}",
        model.denoiser,
        encode(as_unit(memorized)),
        encode(as_unit(model.held_out[:SHOWN])),
        model.denoiser.snap(SIGMA_SHARE * std),
    )


def _flatten(pictures: UInt8[Tensor, "case ..."]) -> Float[Tensor, "case dim"]:
    """Bring pictures to vectors with values from -1 to 1."""
    return pictures.float().flatten(1) / 127.5 - 1
