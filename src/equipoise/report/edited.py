"""The part of a steering page on editing: real pictures, taken back to noise and steered forth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate

BuildStrip = Callable[[np.ndarray | None], list[list[str]]]


@dataclass(frozen=True)
class EditedConcept:
    """What editing towards one concept gained, at what price, and a strip."""

    name: str
    gain: Rate
    strength: float | None
    drift: float | None
    pixel_drift: float | None
    kept: float | None
    strip: list[list[str]]


@dataclass(frozen=True)
class Editing:
    """Editing of held-out pictures."""

    number: int | None
    error: Rate
    strengths: list[Any]
    concepts: list[EditedConcept]


def build_editing(
    told: Mapping[str, Any], strips: Mapping[str, np.ndarray], build_strip: BuildStrip
) -> Editing:
    """Build what the page shows of `results["editing"]`; an older run has no concepts there."""
    strengths = get_list(told.get("strengths"))
    entries = [get_mapping(entry) for entry in get_list(told.get("concepts"))]
    return Editing(
        get_count(told.get("n")),
        get_rate(told.get("inversion_error")),
        strengths,
        [_build_concept(entry, strengths, strips, build_strip) for entry in entries],
    )


def _build_concept(
    entry: Mapping[str, Any],
    strengths: list[Any],
    strips: Mapping[str, np.ndarray],
    build_strip: BuildStrip,
) -> EditedConcept:
    gain, drift = get_mapping(entry.get("gain")), get_mapping(entry.get("drift"))
    best, kept = get_number(gain.get("strength")), get_list(entry.get("kept_curve"))
    place = strengths.index(best) if best in strengths else None
    name = str(entry.get("name"))
    return EditedConcept(
        name,
        get_rate(gain),
        best,
        get_number(drift.get("value")),
        get_number(drift.get("pixel_mean")),
        get_number(kept[place]) if kept and place is not None else None,
        build_strip(strips.get(f"edit {name}")),
    )
