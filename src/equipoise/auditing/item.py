"""Rows of an audit: what was read becomes scores, verdicts and one table a part."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.auditing.pile import Loaded
from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration, judge
from equipoise.images import as_unit
from equipoise.runs import ITEM_SCHEMA

SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("score_low", pa.float64()),
        ("score_high", pa.float64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("thumbnail", pa.binary()),
        ("nearest", pa.string()),
        ("ratio", pa.float64()),
        ("label", pa.string()),
        ("nearest_thumbnail", pa.binary()),
    ]
)
"""Columns of an audit's items; all but id and source may be null."""
NOT_FINITE = "the score is not finite: the model answers this picture with NaN or infinity"


@dataclass(frozen=True)
class ScoredPart:
    """One part: its table, the pictures of the flagged rows, and what it cost."""

    table: pa.Table
    flagged: UInt8[Tensor, "case channel height width"]
    evaluations: int


def score_part(model: Denoiser, calibration: Calibration, loaded: list[Loaded]) -> ScoredPart:
    """Score and judge what could be read; everything becomes one row, in the order given."""
    rows = [_describe(item) for item in loaded]
    readable = [place for place, item in enumerate(loaded) if item.pixels is not None]
    flagged = torch.zeros((0, *model.image_shape), dtype=torch.uint8)
    if readable:
        pictures = torch.stack([item.pixels for item in loaded if item.pixels is not None])
        measured = _measure(
            model, calibration, pictures, [rows[place]["id"] for place in readable]
        )
        for place, found in zip(readable, measured, strict=True):
            rows[place] |= found
        flagged = pictures[[found.get("verdict") == "memorized" for found in measured]]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return ScoredPart(table, flagged, len(readable) * calibration.detector.draws)


def _measure(
    model: Denoiser,
    calibration: Calibration,
    pictures: UInt8[Tensor, "case channel height width"],
    ids: list[str],
) -> list[dict[str, Any]]:
    """Give every picture its score, interval, p-value and verdict, or an error."""
    scores = calibration.detector.score(model, as_unit(pictures), ids)
    judgement = judge(calibration, scores, pictures)
    finite = torch.isfinite(scores.per_draw).all(dim=1).tolist()
    columns = {
        "score": scores.values.tolist(),
        "score_low": scores.interval()[:, 0].tolist(),
        "score_high": scores.interval()[:, 1].tolist(),
        "p_value": judgement.p_values.tolist(),
        "verdict": judgement.verdicts,
    }
    return [
        {name: values[row] for name, values in columns.items()} if ok else {"error": NOT_FINITE}
        for row, ok in enumerate(finite)
    ]


def fill_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """Return the table with one column replaced."""
    index = table.schema.get_field_index(name)
    return table.set_column(index, SCHEMA.field(name), pa.array(values, SCHEMA.field(name).type))


def _describe(item: Loaded) -> dict[str, Any]:
    """Fill what is known before scoring."""
    names = ("id", "source", "error", "width", "height", "format", "mode", "thumbnail")
    return {name: getattr(item, name) for name in names}
