r"""Which training images did a LoRA learn? Each is seen by the model with it and without.

    d = score of the adapted model - score of the base, with the same noise

Content that makes a score high makes it high in both, and cancels. Held-out images, which neither
model saw, show how far d moves for images that were not trained on: an image's p-value is the
share of them with a d as large, itself counted, and images are named at a false discovery rate
(Benjamini-Hochberg).

Weaker scales of the adapter are looked at in the same way, so that a scale can be recommended up
to which nothing is named. To be named is to be learned more than held-out images explain, which
comes before being reproduced: no verdict is given.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.auditing.pile import Loaded, PicturePile, count_parts
from equipoise.checkpoints.lora import Lora
from equipoise.denoisers import Denoiser, fingerprint
from equipoise.denoisers.adapter import apply_lora
from equipoise.detection import Detector, Stopwatch, q_values
from equipoise.errors import BadInputError
from equipoise.images import as_unit
from equipoise.runs import ITEM_SCHEMA, Run, finish_run, start_run, write_items

FDR = 0.1
SCALES = (0.25, 0.5, 0.75, 1.0)
MIN_HELD_OUT = 20
SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("split", pa.string()),
        ("base_score", pa.float64()),
        ("adapted_score", pa.float64()),
        ("thumbnail", pa.binary()),
    ]
)
"""Columns of the items: `score` is the difference at scale 1."""


@dataclass(frozen=True)
class AdapterAudit:
    """What is asked.

    Args:
        base: The model without the adapter.
        name: How it was asked for.
        lora: The adapter.
        lora_name: How it was asked for.
        training: The images it was trained on.
        held_out: Images like them that neither model saw.
        detector: What scores them; reads no condition.
        fdr: Share of false names among the names that is allowed.
    """

    base: Denoiser
    name: str
    lora: Lora
    lora_name: str
    training: PicturePile
    held_out: PicturePile
    detector: Detector
    fdr: float = FDR

    def describe(self) -> dict[str, Any]:
        """Say what is asked, for the record."""
        return {
            "model": self.name,
            "adapter": self.lora_name,
            "training": self.training.describe(),
            "held_out": self.held_out.describe(),
            "detector": self.detector.card.name,
            "fdr": self.fdr,
            "scales": list(SCALES),
        }


@dataclass(frozen=True)
class _Side:
    """One folder: everything that lies there, and the pictures that could be read."""

    loaded: list[Loaded]
    pictures: UInt8[Tensor, "case channel height width"]
    ids: list[str]


def audit_adapter(audit: AdapterAudit, out: Path) -> Run:
    """Score both folders by the base and the adapted model, and name what stands out.

    Raises:
        BadInputError: when fewer than 20 held-out images, or no training image, can be read; or
            when the adapter does not fit the model.
        RunError: when `out` holds a run already.
    """
    watch = Stopwatch()
    training, held_out = _read(audit.training), _read(audit.held_out)
    if not training.ids or len(held_out.ids) < MIN_HELD_OUT:
        raise BadInputError(
            f"Cannot audit an adapter with {len(training.ids)} training and {len(held_out.ids)} "
            f"held-out images that can be read: at least 1 and {MIN_HELD_OUT} are needed."
        )
    run = start_run(
        out, kind="adapter", spec=audit.describe(),
        provenance={"fingerprint": fingerprint(audit.base)},
    )  # fmt: skip
    base = _score(audit.detector, audit.base, (training, held_out))
    found = {
        scale: _score(
            audit.detector, apply_lora(audit.base, audit.lora, scale=scale), (training, held_out)
        )
        for scale in tqdm(SCALES, desc="scales of the adapter", leave=False)
    }
    count = len(training.ids)
    named = {
        scale: _name((scores - base)[:count], (scores - base)[count:], audit.fdr)
        for scale, scores in found.items()
    }
    write_items(run, _build_items(training, held_out, base, found[1.0]))
    looks = (1 + len(SCALES)) * (count + len(held_out.ids)) * audit.detector.card.evaluations
    return finish_run(
        run,
        results=_summarize(audit, training, held_out, named),
        cost={"evaluations": looks, "seconds": watch.seconds},
    )


def find_p_values(
    differences: Float64[Tensor, " case"], controls: Float64[Tensor, " control"]
) -> Float64[Tensor, " case"]:
    """Return the share of controls with a difference as large, the item itself counted."""
    ordered = controls.sort().values
    below = torch.searchsorted(ordered, differences.contiguous(), side="left")
    return (1 + len(ordered) - below).double() / (len(ordered) + 1)


def recommend_scale(named: dict[float, int]) -> float:
    """Return the largest scale up to which nothing is named; 0 where already the weakest is."""
    clean = 0.0
    for scale in sorted(named):
        if named[scale]:
            break
        clean = scale
    return clean


def _read(pile: PicturePile) -> _Side:
    loaded = [item for _, part in pile.read(range(count_parts(pile))) for item in part]
    readable = [item for item in loaded if item.pixels is not None]
    pictures = [item.pixels for item in readable if item.pixels is not None]
    empty = torch.zeros((0, *pile.shape), dtype=torch.uint8)
    return _Side(
        loaded, torch.stack(pictures) if pictures else empty, [item.id for item in readable]
    )


def _score(
    detector: Detector, model: Denoiser, sides: Sequence[_Side]
) -> Float64[Tensor, " case"]:
    images = as_unit(torch.cat([side.pictures for side in sides]))
    ids = [one for side in sides for one in side.ids]
    return detector.score(model, images, ids).values


def _name(
    differences: Float64[Tensor, " case"], controls: Float64[Tensor, " control"], fdr: float
) -> int:
    return int((q_values(find_p_values(differences, controls)) <= fdr).sum())


def _build_items(training: _Side, held_out: _Side, base: Tensor, adapted: Tensor) -> pa.Table:
    """Build one row an item, training images first; what was not read has its reason."""
    count = len(training.ids)
    difference = adapted - base
    p = find_p_values(difference[:count], difference[count:])
    pairs = zip(p.tolist(), q_values(p).tolist(), strict=True)
    judged = [{"p_value": one, "q_value": two} for one, two in pairs]
    scores = zip(difference.tolist(), base.tolist(), adapted.tolist(), strict=True)
    rows = []
    for split, side in (("training", training), ("held-out", held_out)):
        waiting = iter(judged if split == "training" else [{}] * len(side.ids))
        for item in side.loaded:
            row: dict[str, Any] = {
                "id": item.id, "source": item.source, "error": item.error, "split": split,
            }  # fmt: skip
            if item.pixels is not None:
                score, plain, changed = next(scores)
                row |= {"score": score, "base_score": plain, "adapted_score": changed}
                row |= next(waiting) | {"thumbnail": item.thumbnail}
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _summarize(
    audit: AdapterAudit, training: _Side, held_out: _Side, named: dict[float, int]
) -> dict[str, Any]:
    count, controls = len(training.ids), len(held_out.ids)
    return {
        "items": len(training.loaded) + len(held_out.loaded),
        "failed": sum(item.error is not None for item in training.loaded + held_out.loaded),
        "training": count,
        "held_out": controls,
        "named": named[1.0],
        "fdr": audit.fdr,
        "scales": [{"scale": scale, "named": number} for scale, number in named.items()],
        "recommended_scale": recommend_scale(named),
        "smallest_number_nameable": _find_smallest(count, controls, audit.fdr),
        "text_encoder_modules_left_out": audit.lora.left_out,
    }


def _find_smallest(count: int, controls: int, fdr: float) -> int | None:
    """Say how many images must stand out before any is named; None: more than there are.

    The smallest p-value is 1 / (controls + 1); m images that have it get the q-value
    count / (m (controls + 1)).
    """
    smallest = max(1, math.ceil(count / (fdr * (controls + 1)) - 1e-9))
    return smallest if smallest <= count else None
