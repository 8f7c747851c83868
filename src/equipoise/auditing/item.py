"""Rows of an audit: what was read becomes scores, verdicts and one table a part."""

import hashlib
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.auditing.pile import Loaded
from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration, judge
from equipoise.images import as_unit, content_ids

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("score", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("verdict", pa.string()),
        ("error", pa.string()),
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
    readable = [item for item in loaded if item.pixels is not None]
    if not readable:
        none = torch.zeros((0, *model.sample_shape), dtype=torch.uint8)
        return ScoredPart(_build_table([_describe(item) for item in loaded]), none, 0)
    pictures = torch.stack([item.pixels for item in readable if item.pixels is not None])
    ids = content_ids(pictures)
    scores = calibration.detector.score(model, as_unit(pictures), ids)
    judgement = judge(calibration, scores, pictures)
    low, high = scores.interval().T
    finite = torch.isfinite(scores.per_draw).all(dim=1)
    measured = iter(
        {
            "id": ids[row],
            "score": float(scores.values[row]),
            "score_low": float(low[row]),
            "score_high": float(high[row]),
            "p_value": float(judgement.p_values[row]),
            "verdict": judgement.verdicts[row],
        }
        if finite[row]
        else {"id": ids[row], "error": NOT_FINITE}
        for row in range(len(ids))
    )
    rows = [
        _describe(item) | (next(measured) if item.pixels is not None else {}) for item in loaded
    ]
    flagged = torch.tensor([verdict == "memorized" for verdict in judgement.verdicts]) & finite
    return ScoredPart(_build_table(rows), pictures[flagged], scores.evaluations)


def fill_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """Return the table with one column replaced."""
    index = table.schema.get_field_index(name)
    return table.set_column(index, SCHEMA.field(name), pa.array(values, SCHEMA.field(name).type))


def _describe(item: Loaded) -> dict[str, Any]:
    """Fill what is known before scoring; an item that failed is keyed by its source."""
    key = hashlib.blake2b(item.source.encode(), digest_size=16).hexdigest()
    return {
        "id": key,
        "source": item.source,
        "error": item.error,
        "width": item.width,
        "height": item.height,
        "format": item.format,
        "mode": item.mode,
        "thumbnail": item.thumbnail,
    }


def _build_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)
