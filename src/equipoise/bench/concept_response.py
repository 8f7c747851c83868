"""The dose-response of one concept, beside its nulls and its baselines.

Drift and diversity: `drift.py`. The usable range ends where drift exceeds 1.25 or diversity falls
below half of that of real pictures with the concept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from equipoise.bench.concept import ConceptSet, Pictures
from equipoise.bench.drift import Drawn, measure_diversity, measure_drift, measure_spread
from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.random_directions import RandomDirections
from equipoise.bench.resampling import estimate_mean, estimate_median, estimate_ratio
from equipoise.steering import ConceptVector
from equipoise.steering.dose import correlate_ranks, find_drift_at_gain, find_usable, fit_slopes

MOST_DRIFT, LEAST_DIVERSITY = 1.25, 0.5
EQUAL_GAIN = 0.3
"""Gain in the score at which drifts are compared."""
PIXEL_STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
References = UInt8[Tensor, "reference channel height width"]


@dataclass(frozen=True)
class ConceptResponse:
    """What was measured, and the outputs by strength."""

    figures: dict[str, Any]
    drawn: Drawn


@dataclass(frozen=True)
class Curve:
    """Scores and chances of all outputs over strength, a row an output."""

    scores: Float[np.ndarray, "case strength"]
    chances: Float[np.ndarray, "case strength"]
    kept: list[float] | None
    """Share of the other attributes that are as at strength 0; None where there are none."""

    @property
    def gain(self) -> Float[np.ndarray, " strength"]:
        """Mean change of the score."""
        return self.scores.mean(axis=0) - self.scores[:, 0].mean()


def measure_concept(
    studio: Studio,
    known: ConceptSet,
    place: int,
    seeds: Seeds,
    vector: ConceptVector,
    null: ConceptVector,
    *,
    random: RandomDirections,
    strengths: Sequence[float],
    references: int,
) -> ConceptResponse:
    """Steer to the concept at a place, and compare.

    Args:
        studio: Draws.
        known: The concepts.
        place: Of the concept among them.
        seeds: What is steered.
        vector: Of the concept.
        null: Of the same references, dealt by chance.
        random: Directions of the size of the vector.
        strengths: Without 0, rising.
        references: Real pictures that are asked for, with the concept.
    """
    grid = np.array([0.0, *strengths])
    drawn = studio.draw(seeds, vector, grid.tolist())
    curve, concept = read_curve(known, drawn, place), known.concepts[place]
    shown, without = known.draw_references(concept, count=references, seed=studio.seed)
    found = _measure_range(grid, drawn, shown)
    at = int(np.flatnonzero(grid <= max(min(found.usable, 1.0), grid[1]))[-1])
    strength = float(grid[at])
    shuffled = read_curve(known, studio.draw(seeds, null, [0.0, strength]), place)
    pixels = add_pixel_mean(known, drawn[0], place, shown, without)
    figures = {
        "name": concept.name,
        "references": references,
        **_describe_curve(grid, curve, found.usable),
        **_compare_change(curve.scores[:, at] - curve.scores[:, 0], strength, random, place),
        "shuffled_change": float(np.abs(np.diff(shuffled.scores, axis=1)).mean()),
        "drift": {
            "at_gain": EQUAL_GAIN,
            "value": find_drift_at_gain(curve.gain, found.drift, EQUAL_GAIN),
            "pixel_mean": pixels.pop("drift_at_gain"),
        },
        "pixel_mean": pixels,
        "prompt_edit": _ask_instead(studio, known, place, seeds, drawn[0]),
        "usable_range": [0.0, found.usable],
        "gap": vector.record.recipe["gap"],
        "drift_curve": found.drift.tolist(),
        "diversity_curve": found.diversity.tolist(),
        "kept_curve": curve.kept,
        "least_diversity": found.least,
    }
    return ConceptResponse(figures, drawn)


@dataclass(frozen=True)
class _Range:
    """How far outputs move over strength, how different they stay, and up to where they may."""

    drift: Float[np.ndarray, " strength"]
    diversity: Float[np.ndarray, " strength"]
    least: float
    """Diversity below which they are no longer as different as real pictures are."""
    usable: float


def _measure_range(
    grid: Float[np.ndarray, " strength"], drawn: Drawn, shown: References
) -> _Range:
    drift, diversity = measure_drift(drawn), measure_diversity(drawn)
    least = LEAST_DIVERSITY * measure_spread(shown) / measure_spread(drawn[0])
    usable = find_usable(grid, drift, diversity, cap=MOST_DRIFT, floor=least)
    return _Range(drift, diversity, least, usable)


def _compare_change(
    change: Float[np.ndarray, " case"], strength: float, random: RandomDirections, place: int
) -> dict[str, Any]:
    """Compare the change of the score at a strength with that by random directions."""
    floor = random.measure(strength)[:, place]
    return {
        "gain": estimate_mean(change) | {"strength": strength},
        "gain_over_random": estimate_ratio(change, floor),
        "random_change": estimate_mean(floor),
    }


def read_curve(known: ConceptSet, drawn: Drawn, place: int) -> Curve:
    """Read outputs by strength, for the concept at a place."""
    readings = [known.read(pictures) for pictures in drawn]
    return Curve(
        np.stack([one.scores[:, place] for one in readings], axis=1),
        np.stack([known.chances(one, place) for one in readings], axis=1),
        _count_kept([one.shown for one in readings], known.concepts[place].attribute),
    )


def _count_kept(
    shown: Sequence[Sequence[Mapping[str, str]]], attribute: str
) -> list[float] | None:
    others = [name for name in shown[0][0] if name != attribute]
    if not others:
        return None
    return [
        float(np.mean([
            one[name] == two[name] for one, two in zip(level, shown[0], strict=True)
            for name in others
        ]))
        for level in shown
    ]  # fmt: skip


def _describe_curve(
    grid: Float[np.ndarray, " strength"], curve: Curve, usable: float
) -> dict[str, Any]:
    """Say how the scores follow the strength up to the usable range, or to 1 if it is short."""
    inside = grid <= usable
    chosen = inside if inside.sum() > 2 else grid <= 1
    scores, slopes = curve.scores[:, chosen], fit_slopes(grid[chosen], curve.scores[:, chosen])
    mean = curve.chances.mean(axis=0)
    return {
        "spearman": estimate_median(correlate_ranks(grid[chosen], scores)),
        "slope": estimate_mean(slopes),
        "falling": float((slopes < 0).mean()),
        "best": {"strength": float(grid[mean.argmax()]), "p": float(mean.max())},
        "strengths": grid.tolist(),
        "curve": [estimate_mean(column) for column in curve.chances.T],
        "score_curve": [estimate_mean(column) for column in curve.scores.T],
    }


def add_pixel_mean(
    known: ConceptSet, plain: Pictures, place: int, shown: References, without: References
) -> dict[str, Any]:
    """Add the difference of the references' means to finished pictures.

    Strength 1 is as large as the pixels of the references, with values from -1 to 1.
    """
    raw = _scale(shown).mean(dim=0) - _scale(without).mean(dim=0)
    size = torch.cat([_scale(shown), _scale(without)]).square().mean().sqrt()
    unit = raw * size / raw.square().mean().sqrt()
    grid = [0.0, *PIXEL_STRENGTHS]
    drawn = torch.stack([_unscale(_scale(plain) + a * unit) for a in grid])
    curve = read_curve(known, drawn, place)
    mean = curve.chances.mean(axis=0)
    return {
        "strength": float(grid[int(mean.argmax())]),
        "p": float(mean.max()),
        "drift_at_gain": find_drift_at_gain(curve.gain, measure_drift(drawn), EQUAL_GAIN),
    }


def _ask_instead(
    studio: Studio, known: ConceptSet, place: int, seeds: Seeds, plain: Pictures
) -> dict[str, Any] | None:
    """Ask for the concept instead, from the same noise; None for a model that takes no request."""
    asked = known.ask_for(known.concepts[place], seeds.ids, seed=studio.seed)
    if asked is None:
        return None
    drawn = torch.stack([plain, studio.draw_plain(Seeds(seeds.ids, asked))])
    curve = read_curve(known, drawn, place)
    return {
        "p": float(curve.chances[:, 1].mean()),
        "gain": estimate_mean(curve.scores[:, 1] - curve.scores[:, 0]),
        "drift": float(measure_drift(drawn)[1]),
    }


def _scale(pictures: UInt8[Tensor, "..."]) -> Tensor:
    return pictures.float() / 127.5 - 1


def _unscale(values: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
