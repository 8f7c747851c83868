"""Which outputs the page shows, each beside its nearest training image.

The flagged ones are shown evenly over their ranking, not only the best; what the detector got
wrong has a place of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from equipoise.errors import RunError
from equipoise.report.boundary import tell_damage
from equipoise.report.item import Item, rank
from equipoise.report.picture import build_picture
from equipoise.runs import Run

Shown = TypeVar("Shown")

SHOWN = 24
OPENING = 6
STRIP = 12
BUDGET = 1_000_000
"""Most characters of pictures behind the fold; beyond it, pairs are counted and left out."""


@dataclass(frozen=True)
class Album:
    """The pictures of a run, row by row with its items."""

    samples: UInt8[np.ndarray, "sample channel height width"]
    nearest: UInt8[np.ndarray, "sample channel height width"]


@dataclass(frozen=True)
class Pair:
    """An output and its nearest training image."""

    item: Item
    sample: str
    nearest: str

    @property
    def size(self) -> int:
        """Characters the two pictures take on the page."""
        return len(self.sample) + len(self.nearest)


def load_album(run: Run, *, rows: int) -> Album:
    """Read the pictures of a run.

    Raises:
        RunError: when they are missing, damaged, or not one an item.
    """
    told = 'images.safetensors must hold "samples" and "nearest" (uint8)'
    with tell_damage(run, "pictures", told):
        tensors = run.read_tensors("images")
        album = Album(tensors["samples"], tensors["nearest"])
    if not len(album.samples) == len(album.nearest) == rows:
        raise RunError(
            f'"{run.path}" has {rows} items but {len(album.samples)} pictures and '
            f"{len(album.nearest)} nearest training images. Repeat the run."
        )
    return album


def build_gallery(items: Sequence[Item], album: Album) -> dict[str, Any]:
    """Choose what is shown: flagged, behind the fold, not flagged, mistakes."""
    flagged = rank([item for item in items if item.flagged])
    shown = spread(flagged, SHOWN)
    rows = {item.row for item in shown}
    rest = _fill(album, [item for item in flagged if item.row not in rows])
    wrong = rank([item for item in flagged if item.label == "novel"])
    missed = rank([item for item in items if item.label == "copy" and not item.flagged])
    quiet = rank([item for item in items if item.verdict == "not_memorized"])
    return {
        "opening": build_pairs(_list_distinct(flagged)[:OPENING], album),
        "flagged": build_pairs(shown, album),
        "rest": rest,
        "left_out": len(flagged) - len(shown) - len(rest),
        "quiet": build_pairs(spread(quiet, STRIP), album),
        "num_quiet": len(quiet),
        "wrong": build_pairs(spread(wrong, STRIP), album),
        "num_wrong": len(wrong),
        "missed": build_pairs(spread(missed, STRIP), album),
        "num_missed": len(missed),
        "grey_flagged": sum(item.label == "grey" for item in flagged),
    }


def build_pairs(items: Sequence[Item], album: Album) -> list[Pair]:
    """Add the two pictures to each item."""
    return [_build_pair(item, album) for item in items]


def spread(items: Sequence[Shown], count: int) -> list[Shown]:
    """Take `count` items evenly over the order, both ends included."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _list_distinct(items: Sequence[Item]) -> list[Item]:
    """Keep the first item of each training image."""
    first: dict[str | None, Item] = {}
    for item in items:
        first.setdefault(item.nearest, item)
    return list(first.values())


def _build_pair(item: Item, album: Album) -> Pair:
    return Pair(
        item, build_picture(album.samples[item.row]), build_picture(album.nearest[item.row])
    )


def _fill(album: Album, items: Sequence[Item]) -> list[Pair]:
    """Take pairs in order until the budget is spent."""
    pairs: list[Pair] = []
    room = BUDGET
    for item in items:
        pair = _build_pair(item, album)
        room -= pair.size
        if room < 0:
            break
        pairs.append(pair)
    return pairs
