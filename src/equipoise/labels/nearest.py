r"""Copies by nearest training image, safe against duplicates.

    ratio = d_1 / mean(d_2, ..., d_{k+1})

with `d_j` the Euclidean pixel distances to the training images in ascending order, where an image,
its planted variants and all their mirror images count as **one** neighbour at the smallest of
their distances. Below 1/3 an output is a copy, above 0.6 it is novel, between is the grey zone.

The ratio has no unit and does not depend on the range of the pixels; at distance 0 it is 0, also
where the mean is. It needs the training set: it defines the truth, and is no rival of a detector.

`label_by_nearest` has the training set in memory and is told which pictures belong together;
`NearestSearch` sees it once, chunk by chunk, and takes pictures that are equal or mirror images
for one. Near duplicates in a training set: `duplicates.py`.

References:
    On Memorization in Diffusion Models (Gu et al., 2023): the 1/3 rule | arXiv 2310.02664
    Extracting Training Data from Diffusion Models (Carlini et al., 2023): the mean over k
    neighbours | arXiv 2301.13188
"""

import hashlib
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
CELLS = 2**24
"""Pixels in double precision at once."""


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
    _check_number(len(group.unique()))
    num_groups = int(group.max()) + 1
    both = _with_mirrors(pictures)
    owner = torch.cat([group, group])
    chunks = [
        _label_chunk(_as_rows(chunk), both, owner, num_groups) for chunk in samples.split(CHUNK)
    ]
    ratio, nearest, picture = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return NearestLabels(ratio, nearest, picture % len(pictures))


class NearestSearch:
    """Nearest training images of fixed samples, while the training pictures stream by.

    Every picture is an image of its own, except that equal pictures and mirror images are one. A
    sample needs memory for its `NEIGHBOURS + 1` nearest images, a training picture for nothing: a
    picture that comes again has the distance it had, so it is among the nearest and known there,
    or it is as far off as before.
    """

    def __init__(self, samples: UInt8[Tensor, "case channel height width"]) -> None:
        self._samples = samples
        shape = (len(samples), NEIGHBOURS + 1)
        self._smallest = torch.full(shape, torch.inf, dtype=torch.float64, device=samples.device)
        self._names = torch.zeros(shape, dtype=torch.long, device=samples.device)
        self._nearest = torch.zeros(len(samples), dtype=torch.long, device=samples.device)
        self._different: set[int] = set()  # names, as many as the rule needs

    def add(
        self,
        pictures: UInt8[Tensor, "picture channel height width"],
        places: Int[Tensor, " picture"],
    ) -> None:
        """Compare the samples with the next pictures of the training set.

        Args:
            pictures: Training pictures, of the shape of the samples.
            places: Number of each in the training set, by which `finish` names them.
        """
        new: dict[int, int] = {}  # the first row of each name
        for row, digest in enumerate(name_images(pictures)):
            new.setdefault(int.from_bytes(digest[:8], signed=True), row)
        if len(self._different) <= NEIGHBOURS:
            self._different.update(new)
        names = torch.tensor([*new], dtype=torch.long)
        rows = torch.tensor([*new.values()], dtype=torch.long)
        for start in range(0, len(rows), step := _count_rows(self._samples)):
            some = slice(start, start + step)
            self._compare(pictures[rows[some]], names[some], places[rows[some]])

    def finish(self) -> NearestLabels:
        """Return the ratios; `nearest` and `picture` are places in the training set.

        Raises:
            BadInputError: when there are too few training images for the mean over neighbours.
        """
        _check_number(len(self._different))
        return NearestLabels(_apply_rule(self._smallest), self._nearest, self._nearest)

    def _compare(self, pictures: Tensor, names: Tensor, places: Tensor) -> None:
        both = _with_mirrors(pictures)
        names, places = names.to(both.device), places.to(both.device)
        kept = min(NEIGHBOURS + 1, len(pictures))
        for chunk in torch.arange(len(self._samples)).split(_count_rows(self._samples)):
            distance = torch.cdist(_as_rows(self._samples[chunk]), both)  # (case, 2 picture)
            distance = distance.unflatten(1, (2, len(pictures))).amin(dim=1)  # (case, picture)
            closest, place = distance.min(dim=1)
            # Strictly closer: of pictures at one distance the first of the stream stays.
            closer = closest < self._smallest[chunk, 0]
            self._nearest[chunk] = torch.where(closer, places[place], self._nearest[chunk])
            found = distance.topk(kept, dim=1, largest=False)
            self._smallest[chunk], self._names[chunk] = _merge(
                torch.cat([self._smallest[chunk], found.values], dim=1),
                torch.cat([self._names[chunk], names[found.indices]], dim=1),
            )


def _merge(
    distance: Float[Tensor, "case many"], names: Int[Tensor, "case many"]
) -> tuple[Float[Tensor, "case few"], Int[Tensor, "case few"]]:
    """Keep the nearest images of each case, in ascending order, each name once."""
    distance, order = distance.sort(dim=1)
    names = names.gather(1, order)
    order = names.argsort(dim=1, stable=True)  # of one name the smallest distance comes first
    distance, names = distance.gather(1, order), names.gather(1, order)
    again = names[:, 1:] == names[:, :-1]
    distance[:, 1:].masked_fill_(again, torch.inf)
    order = distance.argsort(dim=1, stable=True)[:, : NEIGHBOURS + 1]
    return distance.gather(1, order), names.gather(1, order)


def _count_rows(pictures: Tensor) -> int:
    """Say how many pictures are compared at once: fewer where they are large."""
    return max(1, min(CHUNK, CELLS // max(1, pictures[:1].numel())))


def name_images(pictures: UInt8[Tensor, "picture channel height width"]) -> list[bytes]:
    """Hash every picture so that equal pictures and mirror images have one name."""
    shape = str(tuple(pictures.shape[1:])).encode()
    straight, mirrored = (p.cpu().contiguous().numpy() for p in (pictures, pictures.flip(-1)))
    pairs = zip(straight, mirrored, strict=True)
    return [
        hashlib.blake2b(shape + min(one.tobytes(), other.tobytes()), digest_size=16).digest()
        for one, other in pairs
    ]


def _label_chunk(
    samples: Tensor, pictures: Tensor, owner: Tensor, num_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    distance = torch.cdist(samples, pictures)  # (case, picture)
    by_group = distance.new_full((len(samples), num_groups), torch.inf)
    by_group.scatter_reduce_(1, owner.expand_as(distance), distance, "amin")
    smallest = by_group.topk(NEIGHBOURS + 1, dim=1, largest=False)
    nearest = smallest.indices[:, 0]
    own = distance.masked_fill(owner != nearest[:, None], torch.inf)
    return _apply_rule(smallest.values), nearest, own.argmin(dim=1)


def _as_rows(pictures: Tensor) -> Tensor:
    # Sums of products of pixels are whole numbers, exact in float64 (float32 ends at 256 px).
    return pictures.flatten(1).double()


def _with_mirrors(pictures: Tensor) -> Tensor:
    return _as_rows(torch.cat([pictures, pictures.flip(-1)]))


def _apply_rule(smallest: Tensor) -> Tensor:
    """Return the ratio for the `NEIGHBOURS + 1` smallest distances, in ascending order."""
    nearest = smallest[:, 0]
    ratio = nearest / smallest[:, 1:].mean(dim=1)
    return ratio.where(nearest > 0, 0.0)


def _check_number(num_images: int) -> None:
    if num_images <= NEIGHBOURS:
        raise BadInputError(
            f"Cannot label with {num_images} training images: the rule needs more than "
            f"{NEIGHBOURS}, the neighbours it takes the mean over."
        )
