"""Dose-response of a zoo model: does a score follow the strength, and how far can one go?

For every class of the Fashion models a vector is made from real pictures that the instrument was
not fitted on, and fresh outputs that were asked for nothing are steered towards it. What is
compared with it: random directions of the same size, references with shuffled labels, and adding
the difference of mean pictures to the finished output.

Drift is the distance in pixels (root mean square) between steered and unsteered output, in units
of the mean distance between two unsteered outputs. Diversity is the mean distance between two
outputs of one strength, in the same unit. The usable range ends where drift exceeds 1.25 or
diversity falls below half of that of real pictures of the class.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.instrument import (
    NAME,
    NUM_FITTED,
    Instrument,
    build_instrument,
    get_classes,
)
from equipoise.bench.resampling import estimate_mean, estimate_median, estimate_ratio
from equipoise.bench.resistance import measure_resistance
from equipoise.denoisers import fingerprint
from equipoise.detection import Stopwatch
from equipoise.images import as_unit
from equipoise.runs import Run, finish_run, start_run, write_tensors
from equipoise.sampling.noise import open_stream
from equipoise.steering import ConceptVector, build_random, build_vector
from equipoise.steering.dose import correlate_ranks, find_drift_at_gain, find_usable, fit_slopes
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import ZooModel

LEVEL_SHARES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Noise levels of the references, of the standard deviation of the data."""
MOST_DRIFT, LEAST_DIVERSITY = 1.25, 0.5
REACHED = 0.7
"""Mean probability of the target from which a concept counts as reached."""
EQUAL_GAIN = 0.3
"""Gain in probability at which drifts are compared."""
PIXEL_STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
SHOWN = 6


class ResponseSpec(BaseModel):
    """Everything that a dose-response asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    """Seed of the outputs and of the draw of references."""
    concepts: tuple[int, ...] = (0, 1, 2, 3, 5, 7, 8, 9)
    """Classes to steer to."""
    references: int = 40
    """Pictures with the concept, and as many without."""
    strengths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5)
    """In units of the vector, rising."""
    window_shares: tuple[float, float] = (0.9, 12.0)
    """Noise levels at which to act, of the standard deviation of the data."""
    sampler_steps: int = 8
    """Steps of Heun's method; the recipe's own sampler takes more."""
    num_seeds: int = 16
    """Outputs a concept."""
    num_random: int = 20
    """Random directions."""
    seeds_per_random: int = 3
    """Outputs a random direction."""
    num_screened: int = 600
    """Unsteered outputs among which copies are looked for."""
    num_pairs: int = 64
    """Most pairs of a copy and a novel output."""
    pair_strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Strengths at which the pairs are steered."""


def run_response(model: ZooModel, folder: Path, *, spec: ResponseSpec) -> Run:
    """Measure and write the run folder."""
    watch = Stopwatch()
    run = start_run(
        folder, kind="steering",
        spec={"model": f"zoo:{model.recipe.name}"} | spec.model_dump(mode="json"),
        provenance={"fingerprint": fingerprint(model.denoiser)},
    )  # fmt: skip
    instrument = build_instrument(model)
    low, high = (share * model.denoiser.data_std for share in spec.window_shares)
    studio = Studio(model, seed=spec.seed, steps=spec.sampler_steps, window=(low, high))
    vectors = {label: build_class_vector(model, label, spec) for label in range(len(CLASSES))}
    seeds = _name_seeds(spec, spec.num_seeds)
    plain = studio.draw_plain(seeds)
    floor = _measure_floor(studio, instrument, vectors[spec.concepts[0]], spec)
    pictures: dict[str, np.ndarray] = {}
    concepts = []
    for label in spec.concepts:
        steered = studio.draw(seeds, vectors[label], spec.strengths)
        drawn = torch.cat([plain[None], steered])
        told = _measure_concept(studio, instrument, drawn, vectors[label], label, floor, spec)
        concepts.append(told)
        pictures[CLASSES[label]] = drawn[:, :SHOWN].numpy()
    groups, strips = measure_resistance(
        studio, instrument, vectors, num_screened=spec.num_screened, most=spec.num_pairs,
        strengths=spec.pair_strengths, floor=float(floor.mean()),
    )  # fmt: skip
    studio.close()
    write_tensors(run, "strips", pictures | strips)
    reached = [concept["name"] for concept in concepts if concept["best"]["p"] >= REACHED]
    results = {
        "verdict": describe_verdict(groups),
        "concepts": concepts,
        "reached": reached,
        "reached_at": REACHED,
        "memorized_vs_generalized": groups,
        "instrument": {
            "name": NAME,
            "accuracy": instrument.accuracy,
            "noise": instrument.judge_noise(),
        },
        "random_change": estimate_mean(floor),
    }
    cost = {"evaluations": studio.evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


def build_class_vector(
    model: ZooModel, label: int, spec: ResponseSpec, *, shuffled: bool = False
) -> ConceptVector:
    """Make the vector of a class from pictures that the instrument was not fitted on.

    Args:
        model: The model.
        label: The class.
        spec: How many references.
        shuffled: Deal the same pictures to both sides by chance: a null.
    """
    images = model.training_set.images[NUM_FITTED : model.recipe.num_images]
    classes = get_classes(model)[NUM_FITTED : model.recipe.num_images]
    stream = open_stream(f"{spec.seed}|references|{label}")
    chosen = [
        stream.permutation(np.flatnonzero(mask.numpy()))[: spec.references]
        for mask in (classes == label, classes != label)
    ]
    if shuffled:
        mixed = stream.permutation(np.concatenate(chosen))
        chosen = [mixed[: spec.references], mixed[spec.references :]]
    positive, negative = (as_unit(images[torch.from_numpy(rows)]) for rows in chosen)
    scale = model.denoiser.data_std
    return build_vector(
        model.denoiser, positive, negative, name=f"zoo:{model.recipe.name}",
        sigmas=[share * scale for share in LEVEL_SHARES], draws=1, seed=spec.seed,
    )  # fmt: skip


def _name_seeds(spec: ResponseSpec, count: int) -> Seeds:
    return Seeds([f"steer/{spec.seed}/{index:06d}" for index in range(count)], None)


def _measure_concept(
    studio: Studio,
    instrument: Instrument,
    drawn: UInt8[Tensor, "strength case channel height width"],
    vector: ConceptVector,
    label: int,
    floor: Float[np.ndarray, " direction"],
    spec: ResponseSpec,
) -> dict[str, Any]:
    """Say what the strip of a concept shows, beside its nulls and its baseline."""
    grid = np.array([0.0, *spec.strengths])
    scores = np.stack([instrument.score(p)[:, label] for p in drawn], axis=1)
    drift, diversity = measure_drift(drawn), measure_diversity(drawn)
    least = LEAST_DIVERSITY * measure_real_diversity(studio.model, drawn[0], label)
    usable = find_usable(grid, drift, diversity, cap=MOST_DRIFT, floor=least)
    inside = grid <= usable
    at = int(np.flatnonzero(grid <= max(min(usable, 1.0), grid[1]))[-1])
    mean = scores.mean(axis=0)
    gain = scores[:, at] - scores[:, 0]
    null = build_class_vector(studio.model, label, spec, shuffled=True)
    shuffled = studio.draw(_name_seeds(spec, spec.num_seeds), null, [grid[at]])[0]
    pixels = measure_pixel_mean(studio.model, instrument, drawn[0], label, spec)
    correlated = inside if inside.sum() > 2 else grid <= 1
    slopes = fit_slopes(grid[correlated], scores[:, correlated])
    return {
        "name": CLASSES[label],
        "references": spec.references,
        "spearman": estimate_median(correlate_ranks(grid[correlated], scores[:, correlated])),
        "slope": estimate_mean(slopes),
        "falling": float((slopes < 0).mean()),
        "best": {"strength": float(grid[mean.argmax()]), "p": float(mean.max())},
        "gain": estimate_mean(gain) | {"strength": float(grid[at])},
        "gain_over_random": estimate_ratio(gain, floor),
        "shuffled_change": float(
            np.abs(instrument.score(shuffled)[:, label] - scores[:, 0]).mean()
        ),
        "drift": {
            "at_gain": EQUAL_GAIN,
            "value": find_drift_at_gain(mean - mean[0], drift, EQUAL_GAIN),
            "pixel_mean": pixels.pop("drift_at_gain"),
        },
        "pixel_mean": pixels,
        "usable_range": [0.0, usable],
        "gap": vector.record.recipe["gap"],
        "strengths": grid.tolist(),
        "curve": [estimate_mean(column) for column in scores.T],
        "drift_curve": drift.tolist(),
        "diversity_curve": diversity.tolist(),
        "least_diversity": least,
    }


def _measure_floor(
    studio: Studio, instrument: Instrument, vector: ConceptVector, spec: ResponseSpec
) -> Float[np.ndarray, " direction"]:
    """Mean absolute change of a class's probability by random directions at strength 1.

    All vectors have the size of one unit, so one set of directions serves every concept.
    """
    seeds = _name_seeds(spec, spec.seeds_per_random)
    plain = instrument.score(studio.draw_plain(seeds))
    directions = [build_random(vector, seed=index) for index in range(spec.num_random)]
    chances = [instrument.score(p) for p in studio.draw_each(seeds, directions, 1.0)]
    changes = [np.abs(chance - plain)[:, list(spec.concepts)].mean() for chance in chances]
    return np.array(changes)


def measure_pixel_mean(
    model: ZooModel,
    instrument: Instrument,
    pictures: UInt8[Tensor, "case channel height width"],
    label: int,
    spec: ResponseSpec,
) -> dict[str, Any]:
    """Add the difference of mean pictures to finished outputs; its unit is that of the pixels."""
    images = model.training_set.images[NUM_FITTED : model.recipe.num_images].float() / 127.5 - 1
    classes = get_classes(model)[NUM_FITTED : model.recipe.num_images]
    raw = images[classes == label].mean(dim=0) - images[classes != label].mean(dim=0)
    unit = raw * images.square().mean().sqrt() / raw.square().mean().sqrt()
    plain = pictures.float() / 127.5 - 1
    grid = [0.0, *PIXEL_STRENGTHS]
    moved = [((plain + a * unit).clamp(-1, 1) + 1) * 127.5 for a in grid]
    drawn = torch.stack([part.round().to(torch.uint8) for part in moved])
    mean = np.array([instrument.score(part)[:, label].mean() for part in drawn])
    drift = measure_drift(drawn)
    return {
        "strength": float(grid[int(mean.argmax())]),
        "p": float(mean.max()),
        "drift_at_gain": find_drift_at_gain(mean - mean[0], drift, EQUAL_GAIN),
    }


def measure_drift(
    drawn: UInt8[Tensor, "strength case channel height width"],
) -> Float[np.ndarray, " strength"]:
    """Return how far outputs went from themselves at strength 0, on average."""
    flat = drawn.flatten(2).double()
    away = (flat - flat[0]).square().mean(dim=2).sqrt().mean(dim=1)
    return (away / _spread(flat[0])).numpy()


def measure_diversity(
    drawn: UInt8[Tensor, "strength case channel height width"],
) -> Float[np.ndarray, " strength"]:
    """Return how far outputs of one strength are from each other, 1 at strength 0."""
    flat = drawn.flatten(2).double()
    return np.array([float(_spread(part) / _spread(flat[0])) for part in flat])


def measure_real_diversity(
    model: ZooModel, plain: UInt8[Tensor, "case channel height width"], label: int
) -> float:
    """Return the diversity of real pictures of a class, in units of unsteered outputs."""
    images = model.training_set.images[NUM_FITTED : model.recipe.num_images]
    chosen = images[get_classes(model)[NUM_FITTED : model.recipe.num_images] == label]
    return float(_spread(chosen.flatten(1).double()) / _spread(plain.flatten(1).double()))


def _spread(flat: Float[Tensor, "case pixel"]) -> Float[Tensor, ""]:
    """Return the mean distance of two pictures, root mean square over pixels."""
    distances = torch.pdist(flat) / flat.shape[1] ** 0.5
    return distances.mean()


def describe_verdict(groups: dict[str, Any]) -> str:
    """Say in two sentences whether memorized outputs were found to resist, and to break."""
    slope, abruptness = groups["slope_difference"], groups["abruptness_difference"]
    if slope["low"] is None:
        return "Too few copies were found to compare memorized with generalized outputs."
    told = _write_difference(slope)
    if slope["high"] < 0:
        first = f"Memorized outputs resist: their slope is lower by {told} a unit."
    elif slope["low"] > 0:
        first = f"Memorized outputs do not resist: their slope is higher by {told} a unit."
    else:
        first = f"No difference in slope between memorized and generalized outputs: {told} a unit."
    if abruptness["low"] is not None and abruptness["low"] > 0:
        return f"{first} But memorized ones move more abruptly: {_write_difference(abruptness)}."
    return first


def _write_difference(rate: dict[str, Any]) -> str:
    return f"{rate['value']:+.2f} ({rate['low']:+.2f} to {rate['high']:+.2f})"
