r"""Copies by nearest training image, safe against duplicates.

    ratio = d_1 / mean(d_2, ..., d_{k+1})

with `d_j` the Euclidean pixel distances to the training images in ascending order, where an image,
its planted variants and all their mirror images count as **one** neighbour at the smallest of
their distances. Below 1/3 an output is a copy, above 0.6 it is novel, between is the grey zone.

The ratio has no unit and does not depend on the range of the pixels. It needs the training set:
it defines the truth, and is no rival of a detector.

References:
    On Memorization in Diffusion Models (Gu et al., 2023): the 1/3 rule | arXiv 2310.02664
    Extracting Training Data from Diffusion Models (Carlini et al., 2023): the mean over k
    neighbours | arXiv 2301.13188
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from equipoise.errors import BadInputError

Label = Literal["copy", "grey", "novel"]

COPY_BELOW = 1 / 3
NOVEL_ABOVE = 0.6
NEIGHBOURS = 50
CHUNK = 256


@dataclass(frozen=True)
class NearestLabels:
    """Per item: the distance ratio, the nearest training image and which of its pictures it is."""

    ratio: Float[Tensor, " case"]
    nearest: Int[Tensor, " case"]
    picture: Int[Tensor, " case"]

    def names(self) -> list[Label]:
        """Return the label of every item."""
        return [
            "copy" if r < COPY_BELOW else "novel" if r > NOVEL_ABOVE else "grey"
            for r in self.ratio.tolist()
        ]


def label_by_nearest(
    samples: UInt8[Tensor, "case channel height width"],
    pictures: UInt8[Tensor, "picture channel height width"],
    group: Int[Tensor, " picture"],
) -> NearestLabels:
    """Label samples by their nearest training image, chunk by chunk.

    Args:
        samples: Outputs to label.
        pictures: Training pictures, variants included.
        group: The training image each picture belongs to, numbered from 0.

    Raises:
        BadInputError: when there are too few training images for the mean over neighbours.
    """
    num_images = len(group.unique())
    if num_images <= NEIGHBOURS:
        raise BadInputError(
            f"Cannot label with {num_images} training images: the rule needs more than "
            f"{NEIGHBOURS}, the neighbours it takes the mean over."
        )
    num_groups = int(group.max()) + 1
    both = torch.cat([pictures, pictures.flip(-1)]).flatten(1).double()
    owner = torch.cat([group, group])
    chunks = [
        _label_chunk(chunk.flatten(1).double(), both, owner, num_groups)
        for chunk in samples.split(CHUNK)
    ]
    ratio, nearest, picture = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return NearestLabels(ratio, nearest, picture % len(pictures))


def _label_chunk(
    samples: Tensor, pictures: Tensor, owner: Tensor, num_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    # Sums of products of pixels are whole numbers, exact in float64 (float32 ends at 256 px).
    distance = torch.cdist(samples, pictures)  # (case, picture)
    by_group = distance.new_full((len(samples), num_groups), torch.inf)
    by_group.scatter_reduce_(1, owner.expand_as(distance), distance, "amin")
    smallest = by_group.topk(NEIGHBOURS + 1, dim=1, largest=False)
    ratio = smallest.values[:, 0] / smallest.values[:, 1:].mean(dim=1)
    nearest = smallest.indices[:, 0]
    own = distance.masked_fill(owner != nearest[:, None], torch.inf)
    return ratio, nearest, own.argmin(dim=1)
