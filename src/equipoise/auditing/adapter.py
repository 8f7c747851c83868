r"""Which training images did a LoRA memorize? Each is seen by the model with it and without.

    d = score of the adapted model - score of the base, with the same noise

Content that makes a score high makes it high in both, and cancels. Held-out images, which neither
model saw, show how far d moves for images that were not trained on: an image's p-value is the
share of them with a d as large, itself counted, and those with a q-value (Benjamini-Hochberg) of
at most the given rate are *learned*.

An image is learned long before the model gives it back. Where the score is that of the denoising
residual, d is the logarithm of a ratio of errors, and an image is *named* when it is learned and
the adapter takes away at least a given share of the base's error on it. That is still no copy
among outputs: no verdict is given.

Weaker scales of the adapter are looked at in the same way, so that a scale can be recommended up
to which nothing is named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.auditing.adapter_residual import LogResidual
from equipoise.auditing.captions import Captions
from equipoise.auditing.pile import Loaded, PicturePile, count_parts
from equipoise.checkpoints.lora import Lora
from equipoise.denoisers import Denoiser, TimedDenoiser, encode_prompts, fingerprint
from equipoise.denoisers.adapter import apply_lora
from equipoise.detection import Detector, Stopwatch, q_values
from equipoise.errors import BadInputError
from equipoise.images import as_unit
from equipoise.runs import ITEM_SCHEMA, Run, finish_run, start_run, write_items

FDR = 0.1
LEAST_GAIN = 0.2
"""Share of the base's error on an image that the adapter takes away before the image is named."""
SCALES = (0.25, 0.5, 0.75, 1.0)
MIN_HELD_OUT = 20
SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("split", pa.string()),
        ("base_score", pa.float64()),
        ("adapted_score", pa.float64()),
        ("named", pa.bool_()),
        ("thumbnail", pa.binary()),
    ]
)
"""Columns of the items: `score` is the difference at scale 1."""


@runtime_checkable
class DescribedDetector(Detector, Protocol):
    """A detector that says what it is set to."""

    def describe(self) -> dict[str, Any]:
        """Return the specification for people."""
        ...


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
        detector: What scores them.
        fdr: Share of false discoveries among what is learned that is allowed.
        least_gain: Share of the base's error that must be gone before an image is named, where the
            score is the logarithm of an error; 0 names all that is learned.
        captions: What the training and the held-out images were called; None: told nothing.
    """

    base: Denoiser
    name: str
    lora: Lora
    lora_name: str
    training: PicturePile
    held_out: PicturePile
    detector: DescribedDetector
    fdr: float = FDR
    least_gain: float = 0.0
    captions: tuple[Captions, Captions] | None = None

    @property
    def untold(self) -> bool:
        """Whether captions could have been told, and there were none."""
        can_read = isinstance(self.detector, LogResidual) and takes_prompts(self.base)
        return can_read and self.captions is None

    @property
    def least(self) -> float:
        """Least difference of the scores of an image that is named."""
        return -math.log1p(-self.least_gain) if self.least_gain else -math.inf

    def describe(self) -> dict[str, Any]:
        """Say what is asked, for the record."""
        return {
            "model": self.name,
            "adapter": self.lora_name,
            "training": self.training.describe(),
            "held_out": self.held_out.describe(),
            "captions": self.captions and [side.describe() for side in self.captions],
            "detector": {"name": self.detector.card.name} | self.detector.describe(),
            "fdr": self.fdr,
            "least_gain": self.least_gain,
            "scales": list(SCALES),
        }


@dataclass(frozen=True)
class _Side:
    """One folder: everything that lies there, and the pictures that could be read."""

    loaded: list[Loaded]
    pictures: UInt8[Tensor, "case channel height width"]
    ids: list[str]
    captions: list[str] | None


def audit_adapter(audit: AdapterAudit, out: Path) -> Run:
    """Score both folders by the base and the adapted model, and name what stands out.

    Raises:
        BadInputError: when fewer than 20 held-out images, or no training image, can be read; or
            when the adapter does not fit the model.
        RunError: when `out` holds a run already.
    """
    watch = Stopwatch()
    piles = zip((audit.training, audit.held_out), audit.captions or (None, None), strict=True)
    training, held_out = (_read(pile, captions) for pile, captions in piles)
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
    gains = {
        scale: _score(
            audit.detector, apply_lora(audit.base, audit.lora, scale=scale), (training, held_out)
        ) - base
        for scale in tqdm(SCALES, desc="scales of the adapter", leave=False)
    }  # fmt: skip
    count = len(training.ids)
    learned = {scale: _learn(d[:count], d[count:], audit.fdr) for scale, d in gains.items()}
    named = {scale: learned[scale] & (d[:count] >= audit.least) for scale, d in gains.items()}
    write_items(run, _build_items(training, held_out, base, gains[1.0], named[1.0]))
    looks = (1 + len(SCALES)) * (count + len(held_out.ids)) * audit.detector.card.evaluations
    return finish_run(
        run,
        results=_summarize(audit, training, held_out, int(learned[1.0].sum()), named),
        cost={"evaluations": looks, "seconds": watch.seconds},
    )


def find_p_values(
    differences: Float64[Tensor, " case"], controls: Float64[Tensor, " control"]
) -> Float64[Tensor, " case"]:
    """Return the share of controls with a difference as large, the item itself counted."""
    ordered = controls.sort().values
    below = torch.searchsorted(ordered, differences.contiguous(), side="left")
    return (1 + len(ordered) - below).double() / (len(ordered) + 1)


def takes_prompts(model: Denoiser) -> bool:
    """Say whether a model can be told what a picture is called."""
    return isinstance(model, TimedDenoiser) and model.text_encoder is not None


def recommend_scale(named: dict[float, int]) -> float:
    """Return the largest scale up to which nothing is named; 0 where already the weakest is."""
    clean = 0.0
    for scale in sorted(named):
        if named[scale]:
            break
        clean = scale
    return clean


def _read(pile: PicturePile, captions: Captions | None) -> _Side:
    loaded = [item for _, part in pile.read(range(count_parts(pile))) for item in part]
    readable = [item for item in loaded if item.pixels is not None]
    pictures = [item.pixels for item in readable if item.pixels is not None]
    empty = torch.zeros((0, *pile.shape), dtype=torch.uint8)
    return _Side(
        loaded, torch.stack(pictures) if pictures else empty, [item.id for item in readable],
        None if captions is None else [captions.find(item.source) for item in readable],
    )  # fmt: skip


def _score(
    detector: Detector, model: Denoiser, sides: Sequence[_Side]
) -> Float64[Tensor, " case"]:
    images = as_unit(torch.cat([side.pictures for side in sides]))
    ids = [one for side in sides for one in side.ids]
    captions = [one for side in sides for one in side.captions or ()]
    conditions = encode_prompts(model, captions) if captions else None
    return detector.score(model, images, ids, conditions=conditions).values


def _learn(
    differences: Float64[Tensor, " case"], controls: Float64[Tensor, " control"], fdr: float
) -> Bool[Tensor, " case"]:
    return q_values(find_p_values(differences, controls)) <= fdr


def _build_items(
    training: _Side, held_out: _Side, base: Tensor, gain: Tensor, named: Bool[Tensor, " case"]
) -> pa.Table:
    """Build one row an item, training images first; what was not read has its reason."""
    count = len(training.ids)
    p = find_p_values(gain[:count], gain[count:])
    columns = zip(p.tolist(), q_values(p).tolist(), named.tolist(), strict=True)
    judged = [{"p_value": one, "q_value": two, "named": three} for one, two, three in columns]
    scores = zip(gain.tolist(), base.tolist(), (base + gain).tolist(), strict=True)
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
    audit: AdapterAudit, training: _Side, held_out: _Side, learned: int,
    named: dict[float, Bool[Tensor, " case"]],
) -> dict[str, Any]:  # fmt: skip
    counts = {scale: int(rows.sum()) for scale, rows in named.items()}
    count, controls = len(training.ids), len(held_out.ids)
    return {
        "items": len(training.loaded) + len(held_out.loaded),
        "failed": sum(item.error is not None for item in training.loaded + held_out.loaded),
        "training": count,
        "held_out": controls,
        "learned": learned,
        "named": counts[1.0],
        "fdr": audit.fdr,
        "least_gain": audit.least_gain,
        "untold": audit.untold,
        "scales": [{"scale": scale, "named": number} for scale, number in counts.items()],
        "recommended_scale": recommend_scale(counts),
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
