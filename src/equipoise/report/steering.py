"""The page of a dose-response: strips over strength, curves with bands, and the paper's claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup

from equipoise.report.boundary import tell_damage
from equipoise.report.edited import build_editing
from equipoise.report.picture import build_picture
from equipoise.report.plot import Line, render_lines
from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.table import flatten
from equipoise.runs import Run

SIDES = {"memorized": "warm", "generalized": "cool"}
CLAIMS = {
    "slope": "change of the score a unit of strength",
    "gain": "largest change of the score",
    "abruptness": "1: a straight line; the number of steps: one jump",
}


@dataclass(frozen=True)
class Concept:
    """One concept: its figures, its curve and its strip, a row a seed."""

    name: str
    spearman: Rate
    gain: Rate
    over_random: Rate
    best: Rate
    best_strength: float | None
    pixel_mean_p: float | None
    asked_p: float | None
    drift: float | None
    pixel_drift: float | None
    usable: float | None
    plot: Markup
    strip: list[list[str]]


@dataclass(frozen=True)
class Comparison:
    """A measure on both sides, and their difference."""

    name: str
    note: str
    memorized: Rate
    generalized: Rate
    difference: Rate


def build_steering(run: Run) -> dict[str, Any]:
    """Build what `steering.html.j2` shows."""
    results, spec = run.record.results, run.record.spec
    with tell_damage(run, "pictures", "strips.safetensors is missing or damaged"):
        strips = run.read_tensors("strips")
    entries = [get_mapping(entry) for entry in get_list(results.get("concepts"))]
    groups = get_mapping(results.get("memorized_vs_generalized"))
    instrument = get_mapping(results.get("instrument"))
    concepts = [_build_concept(entry, strips, place) for place, entry in enumerate(entries)]
    return {
        "spec": spec,
        "concepts": concepts,
        "strengths": [0.0, *get_list(spec.get("strengths"))],
        "reached": len(get_list(results.get("reached"))),
        "reached_at": get_number(results.get("reached_at")),
        "better": sum((c.best.value or 0) > (c.pixel_mean_p or 0) for c in concepts),
        "verdict": str(results.get("verdict", "")),
        "instrument": instrument.get("name"),
        "accuracy": get_rate(instrument.get("accuracy")),
        "noise": _name_noise(get_mapping(instrument.get("noise"))),
        "comparisons": [_compare(groups, name, note) for name, note in CLAIMS.items()],
        "num_pairs": get_count(groups.get("n")),
        "num_groups": get_count(groups.get("groups")),
        "side_plot": _draw_sides(groups),
        "pair_strengths": get_list(groups.get("strengths")),
        "still_copies": [get_number(share) for share in get_list(groups.get("still_copies"))],
        "editing": build_editing(get_mapping(results.get("editing")), strips, _build_strip),
        "sides": {side: _build_strip(strips.get(side)) for side in SIDES},
        "record_rows": flatten(spec) + flatten(run.record.cost),
        "provenance_rows": flatten(run.record.provenance),
    }  # fmt: skip


def _name_noise(noise: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the class that the instrument takes noise for, and how surely."""
    known = {name: get_number(chance) or 0.0 for name, chance in noise.items()}
    return max(known.items(), key=lambda pair: pair[1]) if known else None


def _compare(groups: Mapping[str, Any], name: str, note: str) -> Comparison:
    sides = (get_rate(groups.get(f"{name}_{side}")) for side in (*SIDES, "difference"))
    return Comparison(name, note, *sides)


def _build_concept(
    entry: Mapping[str, Any], strips: Mapping[str, np.ndarray], place: int
) -> Concept:
    best, pixels, drift, asked = (
        get_mapping(entry.get(k)) for k in ("best", "pixel_mean", "drift", "prompt_edit")
    )
    ends, curve = (get_list(entry.get(k)) for k in ("usable_range", "curve"))
    strengths, name = get_list(entry.get("strengths")), str(entry.get("name"))
    best_strength = get_number(best.get("strength"))
    return Concept(
        name=name,
        spearman=get_rate(entry.get("spearman")),
        gain=get_rate(entry.get("gain")),
        over_random=get_rate(entry.get("gain_over_random")),
        best=_find_rate(best_strength, strengths, curve),
        best_strength=best_strength,
        pixel_mean_p=get_number(pixels.get("p")),
        asked_p=get_number(asked.get("p")),
        drift=get_number(drift.get("value")),
        pixel_drift=get_number(drift.get("pixel_mean")),
        usable=get_number(ends[-1]) if ends else None,
        plot=_draw_curve(strengths, curve, place),
        strip=_build_strip(strips.get(name)),
    )


def _find_rate(strength: float | None, strengths: Sequence[Any], curve: Sequence[Any]) -> Rate:
    """Return the rate of the curve at a strength."""
    known = dict(zip(strengths, curve, strict=False))
    return get_rate(known.get(strength))


def _build_strip(
    pictures: UInt8[np.ndarray, "strength seed channel height width"] | None,
) -> list[list[str]]:
    """Turn pictures round: a row a seed, a column a strength."""
    if pictures is None:
        return []
    return [[build_picture(picture) for picture in row] for row in pictures.swapaxes(0, 1)]


def _draw_curve(strengths: Sequence[Any], curve: Sequence[Any], place: int) -> Markup:
    return render_lines(
        [_build_line("warm", strengths, curve)], name=f"dose-{place}", xlabel="strength",
        ylabel="chance of the concept",
    )  # fmt: skip


def _draw_sides(groups: Mapping[str, Any]) -> Markup | str:
    curves = get_mapping(groups.get("curves"))
    lines = [
        _build_line(tone, get_list(groups.get("strengths")), get_list(curves.get(side)))
        for side, tone in SIDES.items()
    ]
    if not all(len(line.x) for line in lines):
        return ""
    return render_lines(lines, name="sides", xlabel="strength", ylabel="score of the target")


def _build_line(tone: str, strengths: Sequence[Any], curve: Sequence[Any]) -> Line:
    """Build a line with its band, of the points that have both ends."""
    rates = [get_rate(point) for point in curve]
    rows = [
        (float(x), rate.value, rate.low, rate.high)
        for x, rate in zip(strengths, rates, strict=False)
        if rate.value is not None and rate.low is not None and rate.high is not None
    ]
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return Line(tone, table[:, 0], table[:, 1], low=table[:, 2], high=table[:, 3])
