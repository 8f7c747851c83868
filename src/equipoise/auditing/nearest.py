"""The nearest training image of every flagged item, while the training pictures stream by."""

from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.auditing.item import fill_column
from equipoise.auditing.pile import PicturePile, count_parts
from equipoise.labels import NearestLabels, NearestSearch
from equipoise.runs import Run, locate_part, read_part, write_items


def find_nearest(run: Run, training: PicturePile) -> dict[str, Any]:
    """Fill the columns of the nearest training image for the flagged items of all parts.

    Returns:
        `{images, failed, labels}`: training images read and not read, labels of flagged items.

    Raises:
        BadInputError: when the training folder holds 50 or fewer different pictures.
    """
    parts = range(len(run.list_parts()))
    flagged = [_read_flagged(run, part) for part in parts]
    search = NearestSearch(torch.cat(flagged))
    seen = stream_training(training, search)
    found = search.finish()
    rows = _describe(found, training)
    start = 0
    for part in parts:
        stop = start + len(flagged[part])
        _fill_part(run, part, rows[start:stop])
        start = stop
    return {
        "images": seen,
        "failed": len(training) - seen,
        "labels": {name: found.names().count(name) for name in ("copy", "grey", "novel")},
    }


def _read_flagged(run: Run, part: int) -> UInt8[Tensor, "case channel height width"]:
    return torch.from_numpy(run.read_tensors(f"flagged-{part:06d}")["pixels"])


def stream_training(training: PicturePile, search: NearestSearch) -> int:
    """Show every training picture to the search, by its row; return how many could be read."""
    seen = row = 0
    with tqdm(total=len(training), desc="training images", unit="image") as progress:
        for _, loaded in training.read(range(count_parts(training))):
            readable = {row + k: i.pixels for k, i in enumerate(loaded) if i.pixels is not None}
            if readable:
                search.add(torch.stack([*readable.values()]), torch.tensor([*readable]))
            seen += len(readable)
            row += len(loaded)
            progress.update(len(loaded))
    return seen


def _describe(found: NearestLabels, training: PicturePile) -> list[dict[str, Any]]:
    """Describe the nearest image of each flagged item, with its thumbnail read again."""
    rows = found.nearest.tolist()
    images = training.load(rows)
    return [
        {
            "nearest": images[row].source,
            "ratio": ratio,
            "label": label,
            "nearest_thumbnail": images[row].thumbnail,
        }
        for row, ratio, label in zip(rows, found.ratio.tolist(), found.names(), strict=True)
    ]


def _fill_part(run: Run, part: int, rows: list[dict[str, Any]]) -> None:
    """Write the columns of one part; `rows` are those of its flagged items, in order."""
    table = read_part(locate_part(run, part))
    flagged = [verdict == "memorized" for verdict in table["verdict"].to_pylist()]
    waiting = iter(rows)
    filled = [next(waiting) if is_flagged else {} for is_flagged in flagged]
    for name in ("nearest", "ratio", "label", "nearest_thumbnail"):
        table = fill_column(table, name, [row.get(name) for row in filled])
    write_items(run, table, part=part)
