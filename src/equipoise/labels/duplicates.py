r"""Duplicates in a training set, found before training: what is repeated is memorized first.

Three kinds, each looked for among what the one before left distinct:

- `exact`: the same pixels;
- `flipped`: the mirror image;
- `near`: the rule of `nearest.py` inside the training set, blind to brightness and contrast.

For `near` a picture is brought to 16 x 16 px, each channel to mean zero and the whole to norm one,
so that the distance of two pictures is `sqrt(2 - 2 correlation)`, between 0 and 2. It is the
smallest over their mirror images, over crops of either (1 or 2 of 16 px off each axis, brought
back to size) and over shifts by 1 px. With `d_1 <= d_2 <= ...` the distances of a picture to the
others, its first m neighbours are near duplicates where a gap follows them:

    d_m < 1/3 mean(d_{m+1}, ..., d_{m+50})    for an m up to 50

or where they are alike beyond doubt: `d < 0.05`, a correlation above 0.99875 (different images of
Fashion-MNIST start at 0.09). This second rule is what finds an image with hundreds of variants,
which leave no gap among its neighbours. Duplicates are then joined to groups: the connected
components.

The distances are taken to the 100 pictures that look most alike in grey at 8 x 8 px. Time grows
with the square of the number of pictures, memory in proportion to it.

Not found, on purpose: what has other content (rotations, large crops, text or boxes on top). What
share of which variant is found: docs/duplicates.md.
"""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.labels.nearest import COPY_BELOW, NEIGHBOURS, name_images

Kind = Literal["exact", "flipped", "near"]
KINDS: tuple[Kind, ...] = ("exact", "flipped", "near")

ALIKE = 0.05
CANDIDATES = 2 * NEIGHBOURS
SIDE = 16  # px; the sizes below are of these
COARSE_SIDE = 8  # px
_FLAT = 1.0  # norm, in grey values, below which a picture counts as one flat colour
_ROWS = 256  # of a (picture, picture) matrix at a time
_GATHERED = 64  # pictures whose candidates are gathered at a time

Window = tuple[slice, slice]


def _list_windows(margin: int, offsets: Sequence[int]) -> list[Window]:
    """List the square windows `margin` px smaller than the picture, at all pairs of offsets."""
    spans = [slice(offset, offset + SIDE - margin) for offset in offsets]
    return list(product(spans, spans))


def _overlap(down: int, across: int) -> Window:
    """Return where a picture overlaps with itself moved by some px."""
    return (
        slice(max(down, 0), SIDE + min(down, 0)),
        slice(max(across, 0), SIDE + min(across, 0)),
    )


WHOLE = (slice(0, SIDE), slice(0, SIDE))
CROPS = _list_windows(1, (0, 1)) + _list_windows(2, (0, 1, 2))
COARSE_CROPS = _list_windows(2, (0, 2)) + _list_windows(2, (1,))
MOVES = [move for move in product((-1, 0, 1), repeat=2) if any(move)]


@dataclass(frozen=True)
class Duplicates:
    """Per picture: its group, what kind of duplicate it is, the nearest other, the ratio."""

    group: Int[Tensor, " picture"]
    """Number of its group, by first appearance; a picture without duplicates is a group alone."""
    kinds: tuple[Kind | None, ...]
    """The closest kind among its duplicates; None when it has none."""
    nearest: Int[Tensor, " picture"]
    """Position of the nearest other picture; -1 when there is no other."""
    ratio: Float[Tensor, " picture"]
    """Distance to the nearest over the mean to the next 50 that are not of its group; NaN when
    there are fewer."""

    def sizes(self) -> Int[Tensor, " picture"]:
        """Return the number of pictures in the group of each picture."""
        return self.group.bincount()[self.group]


def find_duplicates(
    pictures: UInt8[Tensor, "picture channel height width"],
) -> Duplicates:
    """Find the exact, flipped and near duplicates among pictures.

    With 51 distinct images or fewer the rule of the gap has nothing to compare with, and only
    near duplicates alike beyond doubt are found.
    """
    pictures = pictures.cpu()
    same_pixels = _number([_hash(picture) for picture in pictures])
    image = _number(name_images(pictures))
    first = _find_first(image)
    around = _find_neighbours(pictures[first])
    image_group = _join(around, _count_mates(around.distance))
    group = _number(image_group[image].tolist())
    repeated = image.bincount()[image] > 1
    return Duplicates(
        group=group,
        kinds=_name_kinds([same_pixels, image, group]),
        nearest=_find_nearest([same_pixels, image], first, around),
        ratio=_measure_ratio(around, image_group)[image].masked_fill(repeated, 0),
    )


@dataclass(frozen=True)
class _Neighbours:
    """Of every distinct image: its candidates, the nearest first."""

    distance: Float[Tensor, "image candidate"]
    index: Int[Tensor, "image candidate"]


def _find_neighbours(images: Tensor) -> _Neighbours:
    if len(images) < 2:
        nobody = torch.empty(len(images), 0)
        return _Neighbours(nobody.double(), nobody.long())
    small = torch.cat([_shrink(chunk) for chunk in images.split(_ROWS)])
    candidates = _find_candidates(small, min(CANDIDATES, len(small) - 1))
    distance, order = _measure_distance(small, candidates).sort(dim=1, stable=True)
    return _Neighbours(distance.double(), candidates.gather(1, order))


def _shrink(images: Tensor) -> Tensor:
    """Bring images to (image, channel, px) with the mean of every channel at zero."""
    pixels = _resize(images.float(), SIDE).flatten(2)
    return pixels - pixels.mean(dim=2, keepdim=True)


def _resize(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True)


def _mirror(small: Tensor) -> Tensor:
    return small.unflatten(2, (SIDE, SIDE)).flip(-1).flatten(2)


def _build_view(window: Window, *, side: int | None = None) -> Tensor:
    """Build the linear map (px, px) that cuts a window, resizes it and takes the mean off."""
    basis = torch.eye(SIDE * SIDE).unflatten(1, (1, SIDE, SIDE))
    cut = basis[:, :, *window]
    seen = (cut if side is None else _resize(cut, side)).flatten(1)
    return seen - seen.mean(dim=1, keepdim=True)


def _inverse_norm(viewed: Tensor) -> Tensor:
    """Return 1 / norm over the last two axes, channel and px; 0 for a flat image."""
    norm = viewed.flatten(-2).norm(dim=-1)
    return torch.where(norm > _FLAT, 1 / norm, 0.0)


def _find_candidates(small: Tensor, count: int) -> Tensor:
    """Return the `count` other images most alike in grey at 8 x 8 px."""
    grey = small.mean(dim=1, keepdim=True)
    views = [_build_view(window, side=COARSE_SIDE) for window in [WHOLE, *COARSE_CROPS]]
    straight = [_describe(grey, view) for view in views]
    mirrored = [_describe(_mirror(grey), view) for view in views]
    found = []
    rows_of_all = torch.arange(len(small)).split(_ROWS)
    for rows in tqdm(rows_of_all, desc="comparing", unit="chunk", leave=False):
        best = torch.full((len(rows), len(small)), -1.0)  # (row, image)
        for side in (straight, mirrored):
            pairs = [(seen, straight[0]) for seen in side]
            pairs += [(side[0], other) for other in straight[1:]]
            for one, other in pairs:
                torch.maximum(best, one[rows] @ other.T, out=best)
        best[torch.arange(len(rows)), rows] = -torch.inf
        found.append(best.topk(count, dim=1).indices)
    return torch.cat(found)


def _describe(small: Tensor, view: Tensor) -> Tensor:
    viewed = small @ view
    return viewed.flatten(1) * _inverse_norm(viewed)[:, None]


@dataclass(frozen=True)
class _Comparison:
    """Views of two images that are compared, as positions in a list of views."""

    views: list[Tensor]
    one: list[int]
    other: list[int]

    @classmethod
    def build(cls) -> "_Comparison":
        """Pair the whole image with itself and with every crop, and opposite overlaps."""
        resized = [_build_view(window, side=SIDE) for window in [WHOLE, *CROPS]]
        overlaps = [_build_view(_overlap(down, across)) for down, across in MOVES]
        crops, moved = range(1, len(resized)), range(len(resized), len(resized) + len(overlaps))
        whole = [0] * len(crops)
        # An image and the same one moved agree where they overlap; MOVES backwards is opposite.
        one, other = [0, *crops, *whole, *moved], [0, *whole, *crops, *reversed(moved)]
        return cls(resized + overlaps, one, other)

    def build_maps(self) -> Tensor:
        """Return V W^T for all pairs: (pair, px, px)."""
        pairs = zip(self.one, self.other, strict=True)
        return torch.stack([self.views[one] @ self.views[other].T for one, other in pairs])


def _measure_distance(small: Tensor, candidates: Tensor) -> Tensor:
    """Return the distance of every image to its candidates, the smallest over all views.

    With V and W the maps of two views, `x V . y W = x (V W^T) . y`: so the candidates y are
    gathered once for all views.
    """
    compared = _Comparison.build()
    maps = compared.build_maps()
    both = torch.stack([small, _mirror(small)])  # (mirror, image, channel, px)
    scale = torch.stack([_inverse_norm(both @ view) for view in compared.views])
    scale_one, scale_other = scale[compared.one], scale[compared.other, 0]  # (pair, ..., image)
    distance = torch.empty(candidates.shape)
    for rows in tqdm(torch.arange(len(small)).split(_GATHERED), desc="measuring", leave=False):
        chunk, around = both[:, rows], candidates[rows]
        left = (chunk.flatten(0, 2) @ maps).unflatten(1, chunk.shape[:3])
        left = left.flatten(3) * scale_one[:, :, rows, None]  # (pair, mirror, row, unit)
        right = small[around].flatten(2).transpose(1, 2)  # (row, unit, candidate)
        inner = left.flatten(0, 1).transpose(0, 1) @ right  # (row, pair x mirror, candidate)
        by_pair = inner.unflatten(1, (len(maps), 2)).amax(dim=2)
        similarity = by_pair * scale_other[:, around].transpose(0, 1)
        distance[rows] = (2 - 2 * similarity.amax(dim=1)).clamp_min(0).sqrt()
    return distance


def _count_mates(distance: Tensor) -> Tensor:
    """Return how many of the nearest candidates are near duplicates of the image."""
    alike = (distance < ALIKE).sum(dim=1)
    width = min(NEIGHBOURS, distance.shape[1] - NEIGHBOURS)
    if width < 1:
        return alike
    windows = distance.unfold(1, NEIGHBOURS, 1)  # (image, first of the next, next)
    gap = distance[:, :width] < COPY_BELOW * windows[:, 1 : width + 1].mean(dim=2)
    before_gap = (gap * torch.arange(1, width + 1)).amax(dim=1)  # the last gap counts
    return torch.maximum(alike, before_gap)


def _join(around: _Neighbours, mates: Tensor) -> Tensor:
    """Return the connected component of every image."""
    row, column = (torch.arange(around.index.shape[1]) < mates[:, None]).nonzero(as_tuple=True)
    ends = (row.numpy(), around.index[row, column].numpy())
    graph = coo_array((np.ones(len(row)), ends), shape=(len(mates), len(mates)))
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()


def _measure_ratio(around: _Neighbours, group: Tensor) -> Tensor:
    """Return the ratio of every image, its group counted as one neighbour."""
    num_images, num_candidates = around.distance.shape
    if num_candidates <= NEIGHBOURS:
        return torch.full((num_images,), torch.nan, dtype=torch.float64)
    outside = group[around.index] != group[:, None]
    outside[:, 0] = False  # the nearest itself
    taken = outside & (outside.cumsum(dim=1) <= NEIGHBOURS)
    mean = (around.distance * taken).sum(dim=1) / NEIGHBOURS
    ratio = around.distance[:, 0] / mean
    return ratio.masked_fill(taken.sum(dim=1) < NEIGHBOURS, torch.nan)


def _name_kinds(levels: Sequence[Tensor]) -> tuple[Kind | None, ...]:
    """Name, for every picture, the first level (pixels, image, group) that it shares."""
    shared = [(level.bincount()[level] > 1).tolist() for level in levels]
    return tuple(
        next((kind for kind, is_shared in zip(KINDS, row, strict=True) if is_shared), None)
        for row in zip(*shared, strict=True)
    )


def _find_nearest(levels: Sequence[Tensor], first: Tensor, around: _Neighbours) -> Tensor:
    """Return the first other picture of the same pixels, else of the image, else the nearest."""
    image = levels[-1]
    nearest = torch.full((len(image),), -1)
    if around.index.shape[1]:
        nearest = first[around.index[image, 0]]
    for level in reversed(levels):
        for members in _list_members(level):
            nearest[members[1:]] = members[0]
            nearest[members[0]] = members[1]
    return nearest


def _list_members(numbers: Tensor) -> list[list[int]]:
    """List the positions that share a number, where there are two or more."""
    members: dict[int, list[int]] = {}
    for position, number in enumerate(numbers.tolist()):
        members.setdefault(number, []).append(position)
    return [positions for positions in members.values() if len(positions) > 1]


def _hash(picture: Tensor) -> bytes:
    return hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest()


def _number(names: Sequence[Hashable]) -> Tensor:
    """Number the names by first appearance."""
    numbers: dict[Hashable, int] = {}
    return torch.tensor(
        [numbers.setdefault(name, len(numbers)) for name in names], dtype=torch.long
    )


def _find_first(numbers: Tensor) -> Tensor:
    """Return the first position of every number."""
    beyond = torch.full((len(numbers.unique()),), len(numbers))
    return beyond.scatter_reduce(0, numbers, torch.arange(len(numbers)), "amin")
