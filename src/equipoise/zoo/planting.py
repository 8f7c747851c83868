"""Planting: which training images are repeated, how, and how often.

Planted images are drawn by a recorded seed, never by eye, and dealt evenly over the cells
kind x multiplicity:

- `exact`: the image itself;
- `near`: the image, a crop of it brought back to size, and a darker version;
- `flipped`: the image and its mirror image.

The multiplicity is the number of rows an image and its variants fill in the training multiset;
everything else fills one row. A batch is drawn from the rows uniformly.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from equipoise.errors import BadInputError

KINDS = ("exact", "near", "flipped")
CROP_MARGIN = 2  # px of 16
DARKER = 0.75


@dataclass(frozen=True)
class PlantedImage:
    """One planted image: index in the training set, kind of variants, rows it fills."""

    index: int
    kind: str
    multiplicity: int


@dataclass(frozen=True)
class TrainingSet:
    """A multiset of images.

    `images` holds every distinct picture once (originals first, then variants), `group` the index
    of the original each belongs to, `classes` the class of each original, and `rows` the picture
    every row of the multiset shows.
    """

    images: UInt8[Tensor, "picture channel height width"]
    group: Int[Tensor, " picture"]
    classes: Int[Tensor, " original"]
    rows: Int[Tensor, " row"]
    planted: tuple[PlantedImage, ...]


def draw_planted(
    num_images: int, *, per_cell: int, multiplicities: tuple[int, ...], seed: int
) -> tuple[PlantedImage, ...]:
    """Draw the planted images and deal them over kind x multiplicity.

    Args:
        num_images: Size of the training set they are drawn from.
        per_cell: Images in each cell.
        multiplicities: Rows a planted image fills, one value a column of cells.
        seed: Seed of the draw.
    """
    cells = list(product(KINDS, multiplicities))
    wanted = per_cell * len(cells)
    if wanted > num_images:
        raise BadInputError(f"Cannot plant {wanted} of {num_images} images; plant fewer a cell.")
    order = torch.randperm(num_images, generator=torch.Generator().manual_seed(seed))
    return tuple(
        PlantedImage(int(index), *cells[position % len(cells)])
        for position, index in enumerate(order[:wanted])
    )


def build_variants(image: UInt8[Tensor, "channel height width"], kind: str) -> list[Tensor]:
    """Return the variants of `kind` besides the image itself."""
    if kind == "flipped":
        return [image.flip(-1)]
    if kind == "near":
        return [_crop(image), (image.float() * DARKER).round().to(torch.uint8)]
    return []


def build_training_set(
    images: UInt8[Tensor, "case channel height width"],
    classes: Int[Tensor, " case"],
    planted: tuple[PlantedImage, ...],
) -> TrainingSet:
    """Repeat the planted images; with none planted this is the clean twin's training set."""
    pictures, group = list(images), list(range(len(images)))
    multiplicity = torch.ones(len(images), dtype=torch.long)
    rows = []
    for item in planted:
        shown = [item.index]
        for variant in build_variants(images[item.index], item.kind):
            shown.append(len(pictures))
            pictures.append(variant)
            group.append(item.index)
        # The variants share the rows of their image as evenly as they divide.
        rows += [shown[k % len(shown)] for k in range(item.multiplicity)]
        multiplicity[item.index] = 0
    plain = multiplicity.nonzero().flatten().tolist()
    return TrainingSet(
        torch.stack(pictures), torch.tensor(group), classes, torch.tensor(plain + rows), planted
    )


def _crop(image: UInt8[Tensor, "channel height width"]) -> UInt8[Tensor, "channel height width"]:
    """Cut `CROP_MARGIN` px off the right and the bottom, and enlarge the rest to size."""
    _, height, width = image.shape
    cut = image[:, : height - CROP_MARGIN, : width - CROP_MARGIN].numpy()
    bands = [
        np.asarray(Image.fromarray(band).resize((width, height), Image.Resampling.BICUBIC))
        for band in cut
    ]
    return torch.from_numpy(np.stack(bands))
