"""Editing measured: real pictures that the model never saw, taken back to noise and steered forth.

Every picture is followed up to the top of the window along the model's own ODE, with the empty
condition, and from there down again at every strength. Beside it stands adding the difference of
mean pictures. Drift is measured from the picture itself, in units of the mean distance between two
of the pictures, so that at strength 0 it is the inversion's error.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from equipoise.bench.concept import ConceptSet
from equipoise.bench.concept_response import EQUAL_GAIN, Curve, add_pixel_mean, read_curve
from equipoise.bench.drift import measure_drift
from equipoise.bench.generation import Studio
from equipoise.bench.resampling import estimate_mean
from equipoise.images import as_unit, quantize
from equipoise.sampling import sample_heun
from equipoise.steering import ConceptVector, steer
from equipoise.steering.dose import find_drift_at_gain
from equipoise.steering.editing import invert, list_way

SHOWN = 4


def measure_editing(
    studio: Studio,
    known: ConceptSet,
    vectors: Sequence[ConceptVector],
    *,
    count: int,
    strengths: Sequence[float],
    references: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Edit held-out pictures towards every concept.

    Args:
        studio: The model and its window.
        known: The concepts.
        vectors: One a concept.
        count: Pictures.
        strengths: Without 0, rising.
        references: Real pictures a side of which the mean pictures are made.

    Returns:
        The figures, and the first pictures by strength, themselves in front.
    """
    pictures = known.draw_held_out(count=count, seed=studio.seed)
    grid = np.array([0.0, *strengths])
    levels = list_way(studio.list_sigmas(), studio.window[1])
    denoiser = studio.model.denoiser
    noise = invert(denoiser, denoiser.encode(as_unit(pictures)), levels) / levels[0]
    back = _finish(studio, noise, levels)
    concepts, strips = [], {}
    for place, (concept, vector) in enumerate(zip(known.concepts, vectors, strict=True)):
        edited = torch.stack([back, *_bring_forth(studio, noise, levels, vector, strengths)])
        sides = known.draw_references(concept, count=references, seed=studio.seed)
        pixels = add_pixel_mean(known, pictures, place, *sides)
        curve = read_curve(known, edited, place)
        concepts.append({"name": concept.name} | _describe(grid, pictures, edited, curve, pixels))
        strips[f"edit {concept.name}"] = torch.cat([pictures[None], edited])[:, :SHOWN].numpy()
    figures = {
        "n": count,
        "start": levels[0],
        "strengths": grid.tolist(),
        "inversion_error": estimate_mean(_measure_error(pictures, back)),
        "concepts": concepts,
    }
    return figures, strips


def _bring_forth(
    studio: Studio,
    noise: Float[Tensor, "case ..."],
    levels: Sequence[float],
    vector: ConceptVector,
    strengths: Sequence[float],
) -> list[UInt8[Tensor, "case channel height width"]]:
    rows = []
    for strength in strengths:
        with steer(studio.model.denoiser, vector, strength=strength, window=studio.window):
            rows.append(_finish(studio, noise, levels))
    return rows


def _finish(
    studio: Studio, noise: Float[Tensor, "case ..."], levels: Sequence[float]
) -> UInt8[Tensor, "case channel height width"]:
    """Follow the ODE down to a picture."""
    *_, last = sample_heun(studio.model.denoiser, noise, levels)
    return quantize(studio.model.denoiser.decode(last.x))


def _describe(
    grid: Float[np.ndarray, " strength"],
    pictures: UInt8[Tensor, "case channel height width"],
    edited: UInt8[Tensor, "strength case channel height width"],
    curve: Curve,
    pixels: dict[str, Any],
) -> dict[str, Any]:
    """Say what was gained at which strength, and at what price."""
    best = int(curve.scores.mean(axis=0).argmax())
    drift = measure_drift(torch.cat([pictures[None], edited]))[1:]
    return {
        "gain": estimate_mean(curve.scores[:, best] - curve.scores[:, 0])
        | {"strength": float(grid[best])},
        "curve": [estimate_mean(column) for column in curve.chances.T],
        "score_curve": [estimate_mean(column) for column in curve.scores.T],
        "drift_curve": drift.tolist(),
        "kept_curve": curve.kept,
        "drift": {
            "at_gain": EQUAL_GAIN,
            "value": find_drift_at_gain(curve.gain, drift, EQUAL_GAIN),
            "pixel_mean": pixels["drift_at_gain"],
        },
    }


def _measure_error(
    pictures: UInt8[Tensor, "case channel height width"],
    back: UInt8[Tensor, "case channel height width"],
) -> Float[np.ndarray, " case"]:
    """Root mean square difference of each picture, values in [0, 1]."""
    difference = (back.double() - pictures.double()).flatten(1) / 255
    return difference.square().mean(dim=1).sqrt().numpy()
