"""Which flagged items excite the same units: outputs that copy one image usually do."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from equipoise.auditing.item import fill_column
from equipoise.errors import RunError
from equipoise.runs import Run, locate_part, read_part, write_items

CHUNK = 1024  # rows of a (case, case) matrix at a time
COLUMNS = ("alike", "likeness")


def find_alike(run: Run) -> None:
    """Fill in, for every flagged item, the flagged item whose units are most alike.

    Alike is the cosine of the units that carry the score, centred on their mean over the flagged
    items. Items of the same id are the same picture and do not count.
    """
    parts = range(len(run.list_parts()))
    units = [_read_units(run, part) for part in parts]
    items = [item for part in parts for item in _list_flagged(run, part)]
    known = [part for part in units if len(part)]
    if len(items) < 2 or sum(map(len, known)) != len(items):  # sites without places
        return
    ids = np.unique([item["id"] for item in items], return_inverse=True)[1]
    places, cosines = search_alike(torch.cat(known), torch.from_numpy(ids))
    found = [
        {"alike": items[place]["source"], "likeness": cosine} if np.isfinite(cosine) else {}
        for place, cosine in zip(places.tolist(), cosines.tolist(), strict=True)
    ]
    waiting = iter(found)
    for part in parts:
        if len(units[part]):
            write_items(run, _fill(read_part(locate_part(run, part)), waiting), part=part)


def search_alike(
    units: Float[Tensor, "case unit"], ids: Int[Tensor, " case"]
) -> tuple[Int[Tensor, " case"], Float[Tensor, " case"]]:
    """Find for each item the other one with the largest cosine, and that cosine.

    Returns:
        Places and cosines; minus infinity where all items share one id.
    """
    direction = F.normalize(units.float() - units.float().mean(dim=0), dim=1)
    best = []
    for start in range(0, len(units), CHUNK):
        rows = slice(start, start + CHUNK)
        cosine = direction[rows] @ direction.T
        same = ids[rows, None] == ids[None, :]
        best.append(cosine.masked_fill(same, -torch.inf).max(dim=1))
    return torch.cat([b.indices for b in best]), torch.cat([b.values for b in best])


def _read_units(run: Run, part: int) -> Float[Tensor, "case unit"]:
    try:
        return torch.from_numpy(run.read_tensors(f"units-{part:06d}")["units"])
    except (OSError, KeyError, SafetensorError) as error:
        raise RunError(
            f'The units of "{run.path}" cannot be read: tensors/units-{part:06d}.safetensors is '
            "missing or damaged. Start the audit again in a new folder."
        ) from error


def _list_flagged(run: Run, part: int) -> list[dict[str, Any]]:
    rows = read_part(locate_part(run, part), ["id", "source", "verdict"]).to_pylist()
    return [row for row in rows if row["verdict"] == "memorized"]


def _fill(table: pa.Table, found: Iterator[dict[str, Any]]) -> pa.Table:
    """Fill the columns of one part; `found` goes on with what belongs to its flagged items."""
    flagged = [verdict == "memorized" for verdict in table["verdict"].to_pylist()]
    rows = [next(found) if is_flagged else {} for is_flagged in flagged]
    for name in COLUMNS:
        table = fill_column(table, name, [row.get(name) for row in rows])
    return table
