"""Rows of an audit: what was read becomes scores, verdicts and one table a part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from equipoise.auditing.batch import Batch
from equipoise.auditing.heat import draw_heat
from equipoise.auditing.pile import Loaded
from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration, has_places, judge, measure_heat
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
        ("heat", pa.binary()),
        ("alike", pa.string()),
        ("likeness", pa.float64()),
    ]
)
"""Columns of an audit's items; all but id and source may be null."""
NOT_FINITE = "the score is not finite: the model answers this picture with NaN or infinity"


@dataclass(frozen=True)
class ScoredPart:
    """One part: its table, what is kept of the flagged rows, and what it cost."""

    table: pa.Table
    flagged: UInt8[Tensor, "case channel height width"]
    units: Float[Tensor, "located unit"]
    """The units that carry their scores; none where the detector's sites have no places."""
    evaluations: int
    batch: int
    """Noisy pictures of a forward at the end of the part."""


def score_part(
    model: Denoiser, calibration: Calibration, loaded: list[Loaded], *, batch: Batch
) -> ScoredPart:
    """Score and judge what could be read; everything becomes one row, in the order given."""
    rows = [_describe(item) for item in loaded]
    pictures = {place: item.pixels for place, item in enumerate(loaded) if item.pixels is not None}
    if pictures:
        ids = [rows[place]["id"] for place in pictures]
        told = stack_conditions([loaded[place] for place in pictures])
        stacked = torch.stack([*pictures.values()])
        measured = _measure(model, calibration, stacked, ids, told, batch)
        for place, found in zip(pictures, measured, strict=True):
            rows[place] |= found
    evaluations = len(pictures) * calibration.detector.draws
    chosen = [place for place in pictures if rows[place].get("verdict") == "memorized"]
    flagged = torch.zeros((0, *model.image_shape), dtype=torch.uint8)
    units = torch.zeros((0, 0))
    if chosen:
        flagged = torch.stack([pictures[place] for place in chosen])
    if chosen and has_places(model, calibration.detector):
        told = stack_conditions([loaded[place] for place in chosen])
        found = [rows[place] for place in chosen]
        units = _locate(model, calibration, flagged, found, told, batch)
        evaluations += len(chosen) * calibration.detector.draws
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return ScoredPart(table, flagged, units, evaluations, batch.size)


def _locate(
    model: Denoiser,
    calibration: Calibration,
    pictures: UInt8[Tensor, "case channel height width"],
    rows: list[dict[str, Any]],
    told: Shaped[Tensor, "case ..."] | None,
    batch: Batch,
) -> Float[Tensor, "case unit"]:
    """Draw into each row where its score comes from; return the units that carry the scores."""
    images, ids = as_unit(pictures), [row["id"] for row in rows]
    heat = batch.run(
        lambda size: measure_heat(
            model, images, calibration.detector, ids, conditions=told, batch=size
        )
    )
    for row, picture, part in zip(rows, pictures, heat.maps, strict=True):
        row["heat"] = draw_heat(picture, part)
    return heat.units.float()


def _measure(
    model: Denoiser,
    calibration: Calibration,
    pictures: UInt8[Tensor, "case channel height width"],
    ids: list[str],
    told: Shaped[Tensor, "case ..."] | None,
    batch: Batch,
) -> list[dict[str, Any]]:
    """Give every picture its score, interval, p-value and verdict, or an error."""
    images = as_unit(pictures)
    scores = batch.run(
        lambda size: calibration.detector.score(model, images, ids, conditions=told, batch=size)
    )
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


def stack_conditions(loaded: Sequence[Loaded]) -> Shaped[Tensor, "case ..."] | None:
    """Return what the model was asked for, one an item; None where it was asked nothing."""
    known = [one.condition for one in loaded if one.condition is not None]
    return torch.stack(known) if len(known) == len(loaded) and known else None


def fill_column(table: pa.Table, name: str, values: list[Any] | np.ndarray) -> pa.Table:
    """Return the table with one column replaced; NaN becomes null."""
    field = SCHEMA.field(name)
    column = pa.array(values, field.type, from_pandas=True)
    return table.set_column(table.schema.get_field_index(name), field, column)


def _describe(item: Loaded) -> dict[str, Any]:
    """Fill what is known before scoring."""
    names = ("id", "source", "error", "width", "height", "format", "mode", "thumbnail")
    return {name: getattr(item, name) for name in names}
