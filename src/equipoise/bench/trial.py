"""Does a detector still tell copies when pictures or settings are not those it was chosen with?

A trial changes the pictures of the report split, or the detector, and leaves noise level, sign and
threshold as they were chosen on pictures as they came out of the model. So it shows what becomes
of a threshold when somebody saved the pictures as JPEG first. The out-of-domain negatives are
held-out pictures in inverted brightness; there the copies stay as they are.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel
from torch import Tensor
from torch.nn import functional as F

from equipoise.bench.contest import Outcome
from equipoise.bench.stage import Items, Stage
from equipoise.denoisers import Denoiser
from equipoise.images import as_unit, content_ids, quantize

LIMIT = 200
"""Copies, and other items, that a trial shows to a detector."""
JPEG_QUALITY = 75
SHRINK = 0.75
NOISE = 0.02  # of the range, standard deviation

Pictures = UInt8[Tensor, "case channel height width"]


def save_as_jpeg(pictures: Pictures) -> Pictures:
    """Write every picture as JPEG and read it again."""
    saved = []
    for picture in pictures:
        array, file = picture.movedim(0, -1).squeeze(-1).numpy(), io.BytesIO()
        Image.fromarray(array).save(file, "JPEG", quality=JPEG_QUALITY)
        saved.append(torch.from_numpy(np.atleast_3d(np.array(Image.open(file)))).movedim(-1, 0))
    return torch.stack(saved)


def shrink(pictures: Pictures) -> Pictures:
    """Make pictures smaller, and as large as before."""
    height, width = pictures.shape[2:]
    small = _resize(as_unit(pictures), round(SHRINK * height), round(SHRINK * width))
    return quantize(_resize(small, height, width))


def crop(pictures: Pictures) -> Pictures:
    """Cut a sixteenth off every side, and stretch what is left."""
    height, width = pictures.shape[2:]
    top, left = height // 16, width // 16
    inner = as_unit(pictures)[:, :, top : height - top, left : width - left]
    return quantize(_resize(inner, height, width))


def add_noise(pictures: Pictures) -> Pictures:
    """Add noise of two percent of the range."""
    generator = torch.Generator().manual_seed(0)
    grain = torch.randn(pictures.shape, generator=generator)
    return quantize(as_unit(pictures) + NOISE * grain)


def keep(pictures: Pictures) -> Pictures:
    """Leave pictures as they are."""
    return pictures


CHANGES: Mapping[str, Callable[[Pictures], Pictures]] = {
    "as drawn": keep,
    "JPEG": save_as_jpeg,
    "resized": shrink,
    "cropped": crop,
    "noise": add_noise,
}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "one draw": {"draws": 1},
    "bfloat16": {"precision": "bfloat16"},
}
OUT_OF_DOMAIN = "out-of-domain negatives"


def run_trials(outcome: Outcome, stage: Stage, denoiser: Denoiser) -> Iterator[dict[str, Any]]:
    """Put a detector to every trial that it has a setting for.

    Args:
        outcome: The detector as it was chosen and calibrated.
        stage: Where that was.
        denoiser: The model.

    Yields:
        A row a trial: `detector`, `trial`, `auroc`, `tpr_at_1pct_fpr` and `fpr` at the threshold
        set on pictures as they came out.
    """
    items = stage.report.pick(outcome.rows)
    items = items.pick(items.find_first(LIMIT))
    for name, change in CHANGES.items():
        yield _measure(name, outcome, outcome.detector, denoiser, _change(items, change))
    for name, setting in SETTINGS.items():
        detector = _set(outcome.detector, setting)
        if detector is not None:
            yield _measure(name, outcome, detector, denoiser, items)
    if "held_out" in stage.arms and outcome.entry.needs_no_words:
        yield _measure(
            OUT_OF_DOMAIN, outcome, outcome.detector, denoiser,
            _swap_negatives(items, 255 - stage.arms["held_out"].pictures[:LIMIT]),
        )  # fmt: skip


def _measure(
    name: str,
    outcome: Outcome,
    detector: Any,  # noqa: ANN401 - anybody's
    denoiser: Denoiser,
    items: Items,
) -> dict[str, Any]:
    told = detector.score(
        denoiser, as_unit(items.pictures), items.ids, conditions=items.conditions
    )
    scores = outcome.sign * told.values.numpy()
    copy = items.planted >= 0
    rates = outcome.rate(scores[copy], items.planted[copy], scores[~copy])
    return {"detector": outcome.entry.name, "trial": name, **rates}


def _change(items: Items, change: Callable[[Pictures], Pictures]) -> Items:
    pictures = change(items.pictures)
    return replace(items, pictures=pictures, ids=content_ids(pictures))


def _swap_negatives(items: Items, negatives: Pictures) -> Items:
    copies = items.pick(np.flatnonzero(items.planted >= 0))
    pictures = torch.cat([copies.pictures, negatives])
    planted = np.concatenate([copies.planted, np.full(len(negatives), -1)])
    return Items(pictures, content_ids(pictures), None, planted)


def _set(detector: Any, setting: dict[str, Any]) -> Any:  # noqa: ANN401 - anybody's
    """Change a setting of a detector; None where it has none of this name, or no other value."""
    if not isinstance(detector, BaseModel) or not set(setting) <= set(type(detector).model_fields):
        return None
    changed = detector.model_copy(update=setting)
    return None if changed == detector else changed


def _resize(images: Float[Tensor, "case channel height width"], height: int, width: int) -> Tensor:
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True)
