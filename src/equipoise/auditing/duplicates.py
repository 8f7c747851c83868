"""Duplicates in a folder of training images, as a run folder; the rule is in `labels/duplicates`.

Pictures are read in colour at one size, whatever the model will train on: two files are `exact`
duplicates when they are equal at that size. Scores, p-values and verdicts are null: a duplicate is
a fact about the training set, no judgement of a model.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.auditing.pile import Loaded, PicturePile, count_parts
from equipoise.detection import Stopwatch
from equipoise.errors import BadInputError
from equipoise.images import show_path
from equipoise.labels import KINDS, Duplicates, find_duplicates
from equipoise.runs import ITEM_SCHEMA, Run, finish_run, start_run, write_items

SIZE = 32  # px
LISTED = 20  # groups in the results, and sources of each; the items name all
SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("group", pa.int64()),
        ("kind", pa.string()),
        ("nearest", pa.string()),
        ("ratio", pa.float64()),
        ("group_size", pa.int64()),
        ("thumbnail", pa.binary()),
    ]
)


def find_training_duplicates(training: str | Path, out: Path, *, size: int = SIZE) -> Run:
    """Find the duplicates among training images and write them as a run folder.

    Args:
        training: Folder, list, file, pattern or URL, see `open_store`.
        out: Run folder to write.
        size: Height and width at which the pictures are read, in px.

    Raises:
        BadInputError: when there is no picture in `training`, or not one can be read.
        RunError: when `out` holds a run already.
    """
    watch = Stopwatch()
    pile = PicturePile(training, (3, size, size))
    spec = {"training": show_path(training), "size": size} | pile.describe()
    run = start_run(out, kind="duplicates", spec=spec, provenance={})
    loaded = _read(pile)
    reading = watch.seconds
    images = _Images.collect(loaded)
    found = find_duplicates(_drop_equal_channels(images.pictures))
    write_items(run, _build_items(loaded, images, found))
    if not images.sources:
        raise BadInputError(
            f'Not one of the {len(loaded)} pictures can be read; "{run.path}" says why, row by '
            "row. Give pictures (PNG, JPEG, WebP, GIF, BMP, TIFF)."
        )
    cost = {"evaluations": 0, "seconds": watch.seconds, "reading_seconds": reading}
    return finish_run(run, results=_summarize(loaded, images, found), cost=cost)


@dataclass(frozen=True)
class _Images:
    """The pictures that could be read, and their sources."""

    pictures: UInt8[Tensor, "picture channel height width"]
    sources: tuple[str, ...]

    @classmethod
    def collect(cls, loaded: Sequence[Loaded]) -> "_Images":
        readable = [(item.source, item.pixels) for item in loaded if item.pixels is not None]
        if not readable:  # a record of why is written all the same
            return cls(torch.zeros((0, 3, SIZE, SIZE), dtype=torch.uint8), ())
        sources, pixels = zip(*readable, strict=True)
        return cls(torch.stack(pixels), sources)


def _read(pile: PicturePile) -> list[Loaded]:
    items = []
    with tqdm(total=len(pile), desc="reading", unit="image", leave=False) as progress:
        for _, loaded in pile.read(range(count_parts(pile))):
            items += loaded
            progress.update(len(loaded))
    return items


def _drop_equal_channels(pictures: Tensor) -> Tensor:
    """Keep one channel where all pictures are grey: a third of the work, the same answer."""
    return pictures[:, :1] if bool((pictures == pictures[:, :1]).all()) else pictures


def _build_items(loaded: Sequence[Loaded], images: _Images, found: Duplicates) -> pa.Table:
    """Build one row an item, in the order of the listing; what was not read has its reason."""
    ratio = [None if value != value else value for value in found.ratio.tolist()]  # NaN
    described = zip(
        found.group.tolist(), found.kinds, found.nearest.tolist(), ratio,
        found.sizes().tolist(), strict=True,
    )  # fmt: skip
    rows = []
    for item in loaded:
        row: dict[str, Any] = {"id": item.id, "source": item.source, "error": item.error}
        if item.pixels is None:
            rows.append(row)
            continue
        group, kind, nearest, value, size = next(described)
        rows.append(
            row | {
                "group": group, "kind": kind, "ratio": value, "group_size": size,
                "nearest": images.sources[nearest] if nearest >= 0 else None,
                "thumbnail": item.thumbnail if size > 1 else None,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _summarize(loaded: Sequence[Loaded], images: _Images, found: Duplicates) -> dict[str, Any]:
    reasons = Counter(item.error for item in loaded if item.error is not None)
    groups = _list_groups(images.sources, found)
    in_groups = sum(group["size"] for group in groups)
    count = len(images.sources)
    return {
        "items": len(loaded),
        "failed": reasons.total(),
        "failed_by_reason": dict(reasons.most_common()),
        "groups": len(groups),
        "images_in_groups": in_groups,
        "share": in_groups / count,
        "by_kind": {kind: found.kinds.count(kind) for kind in KINDS},
        "largest": groups[:LISTED],
    }


def _list_groups(sources: Sequence[str], found: Duplicates) -> list[dict[str, Any]]:
    """List the groups of two and more, the largest first, with their first sources."""
    members: dict[int, list[int]] = {}
    for position, group in enumerate(found.group.tolist()):
        members.setdefault(group, []).append(position)
    groups = [
        {
            "group": group,
            "size": len(places),
            "kinds": [kind for kind in KINDS if kind in {found.kinds[p] for p in places}],
            "sources": [sources[place] for place in places[:LISTED]],
        }
        for group, places in members.items()
        if len(places) > 1
    ]
    return sorted(groups, key=lambda group: -group["size"])
