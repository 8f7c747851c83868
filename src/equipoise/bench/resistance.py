"""Do memorized outputs resist steering? Copies against novel outputs, attribute for attribute.

Outputs are drawn unsteered and labelled by the training images. A copy of a planted image and a
novel output make a pair when they show the same value of the attribute that is to be changed (the
class, the colour of the background), and both are steered towards one other value. Copies of one
planted image resemble each other, so planted images are the unit of resampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from equipoise.bench.concept import Concept, ConceptSet
from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.resampling import estimate_mean, estimate_shift
from equipoise.labels.nearest import COPY_BELOW
from equipoise.steering import ConceptVector
from equipoise.steering.dose import fit_slopes, measure_abruptness
from equipoise.zoo.package import ZooModel

SIDES = ("memorized", "generalized")
SHOWN = 6
"""Pairs whose strips are kept."""


@dataclass(frozen=True)
class Pairs:
    """Rows of copies and of novel outputs that show the same value, pair by pair."""

    memorized: Int64[np.ndarray, " pair"]
    generalized: Int64[np.ndarray, " pair"]
    targets: Int64[np.ndarray, " pair"]
    """Place of the concept that both are steered to."""
    groups: Int64[np.ndarray, " pair"]
    """The planted image behind every copy."""


def match_pairs(
    labels: Sequence[str],
    nearest: Int64[np.ndarray, " case"],
    planted: Sequence[int],
    shown: Sequence[Mapping[str, str]],
    *,
    concepts: Sequence[Concept],
    most: int,
) -> Pairs:
    """Pair copies of planted images with novel outputs that show the same.

    Args:
        labels: Label of every output.
        nearest: Its nearest training image.
        planted: Planted training images.
        shown: Its attributes by name.
        concepts: What to steer to, dealt in turn, the next where a copy shows it already.
        most: Most pairs.
    """
    names = np.array(labels)
    copies = np.flatnonzero((names == "copy") & np.isin(nearest, planted))
    free = np.flatnonzero(names == "novel").tolist()
    rows = []
    for copy in _spread_over(copies, nearest[copies]):
        target = _deal(concepts, len(rows), shown[copy])
        if target is None or len(rows) == most:
            continue
        wanted = concepts[target].attribute
        partner = next((one for one in free if shown[one][wanted] == shown[copy][wanted]), None)
        if partner is not None:
            free.remove(partner)
            rows.append((copy, partner, target))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2], nearest[table[:, 0]])


def measure_resistance(
    studio: Studio,
    known: ConceptSet,
    vectors: Sequence[ConceptVector],
    *,
    num_screened: int,
    most: int,
    strengths: Sequence[float],
    floors: Float[np.ndarray, " concept"],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compare how both sides follow the strength.

    Args:
        studio: Draws.
        known: The concepts.
        vectors: One a concept.
        num_screened: Unsteered outputs among which copies are looked for.
        most: Most pairs.
        strengths: Without 0, rising.
        floors: Change of each concept's score below which nothing counts as moved.

    Returns:
        The figures, and pictures of the first pairs by strength.
    """
    model, seed = studio.model, studio.seed
    ids = [f"steer-groups/{seed}/{index:06d}" for index in range(num_screened)]
    seeds = Seeds(ids, model.draw_conditions(ids, seed=seed))
    plain = studio.draw_plain(seeds)
    truth = model.label(plain)
    pairs = match_pairs(
        truth.names(), truth.nearest.numpy(), list(model.planted), known.read(plain).shown,
        concepts=known.concepts, most=most,
    )  # fmt: skip
    grid = np.array([0.0, *strengths])
    scores, pictures, ratios = {}, {}, {}
    for side in SIDES:
        rows = getattr(pairs, side)
        drawn = _draw_side(studio, seeds, plain, rows, pairs.targets, vectors, strengths)
        scores[side] = _score_targets(known, drawn, pairs.targets)
        pictures[side] = drawn[:, :SHOWN].numpy()
        ratios[side] = _measure_ratios(model, drawn)
    return _compare(grid, scores, ratios, pairs, floors=floors[pairs.targets]), pictures


def _compare(
    grid: Float[np.ndarray, " strength"],
    scores: Mapping[str, np.ndarray],
    ratios: Mapping[str, np.ndarray],
    pairs: Pairs,
    *,
    floors: Float[np.ndarray, " pair"],
) -> dict[str, Any]:
    results: dict[str, Any] = {"n": len(pairs.groups), "groups": len(np.unique(pairs.groups))}
    values: dict[str, dict[str, np.ndarray]] = {}
    for side in SIDES:
        values[side] = {
            "slope": fit_slopes(grid, scores[side]),
            "gain": scores[side].max(axis=1) - scores[side][:, 0],
            "abruptness": measure_abruptness(scores[side], floor=floors),
        }
    for name in ("slope", "gain", "abruptness"):
        one, two = (values[side][name] for side in SIDES)
        known, other = ~np.isnan(one), two[~np.isnan(two)]
        groups = pairs.groups[known]
        results[f"{name}_memorized"] = estimate_mean(one[known], groups)
        results[f"{name}_generalized"] = estimate_mean(other)
        results[f"{name}_difference"] = estimate_shift(one[known], groups, other)
    results["curves"] = {
        side: [
            estimate_mean(column, pairs.groups if side == "memorized" else None)
            for column in scores[side].T
        ]
        for side in SIDES
    }
    copies = ratios["memorized"] < COPY_BELOW
    results["still_copies"] = [
        float(column.mean()) if len(column) else None for column in copies.T
    ]
    results["strengths"] = grid.tolist()
    return results


def _draw_side(
    studio: Studio,
    seeds: Seeds,
    plain: UInt8[Tensor, "case channel height width"],
    rows: Int64[np.ndarray, " pair"],
    targets: Int64[np.ndarray, " pair"],
    vectors: Sequence[ConceptVector],
    strengths: Sequence[float],
) -> UInt8[Tensor, "strength pair channel height width"]:
    """Draw one side of all pairs, target by target, with the unsteered outputs in front."""
    base = plain[torch.from_numpy(rows)]
    drawn = base[None].repeat(len(strengths) + 1, 1, 1, 1, 1)
    for target in np.unique(targets):
        places = np.flatnonzero(targets == target)
        items = seeds.take([int(rows[place]) for place in places])
        drawn[1:, places] = studio.draw(items, vectors[int(target)], strengths)
    return drawn


def _score_targets(
    known: ConceptSet,
    drawn: UInt8[Tensor, "strength pair channel height width"],
    targets: Int64[np.ndarray, " pair"],
) -> Float[np.ndarray, "pair strength"]:
    """Return the score of each pair's own target, a row a pair."""
    if not len(targets):
        return np.zeros((0, len(drawn)))
    levels = [known.read(pictures).scores for pictures in drawn]
    rows = np.arange(len(targets))
    return np.stack([level[rows, targets] for level in levels], axis=1)


def _measure_ratios(
    model: ZooModel,
    drawn: UInt8[Tensor, "strength pair channel height width"],
) -> Float[np.ndarray, "pair strength"]:
    if not drawn.shape[1]:
        return np.zeros((0, len(drawn)))
    ratios = [model.label(pictures).ratio for pictures in drawn]
    return torch.stack(ratios, dim=1).double().numpy()


def _spread_over(
    rows: Int64[np.ndarray, " copy"], groups: Int64[np.ndarray, " copy"]
) -> list[int]:
    """Order copies so that every planted image comes once before any comes twice."""
    seen: dict[int, int] = {}
    turns = []
    for group in groups.tolist():
        seen[group] = seen.get(group, 0) + 1
        turns.append(seen[group])
    return [int(rows[place]) for place in np.argsort(turns, kind="stable")]


def _deal(concepts: Sequence[Concept], turn: int, shown: Mapping[str, str]) -> int | None:
    """Return the place of the concept whose turn it is, among those not shown already."""
    others = [
        place for place, concept in enumerate(concepts)
        if shown[concept.attribute] != concept.value
    ]  # fmt: skip
    return others[turn % len(others)] if others else None
