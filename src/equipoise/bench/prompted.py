"""Detectors side by side on a checkpoint of one's own, by two lists of prompts.

There is no training set and no twin: the truth is what the lists say. One output is drawn for
every prompt, and every prompt stands for itself. Half of the memorized prompts choose, half
report; of the others a fifth chooses, two fifths set thresholds and two fifths report, dealt by
the seed.

Lists from different places can be told apart by their words alone; then no figure of a detector
speaks of memory, and a warning says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from torch import Tensor

from equipoise.bench.outputs import decode_samples
from equipoise.bench.stage import Items, Stage, check_sizes
from equipoise.denoisers import Denoiser, TimedDenoiser
from equipoise.detection import Stopwatch
from equipoise.errors import BadInputError
from equipoise.images import content_ids
from equipoise.sampling import SamplerSpec


@dataclass(frozen=True)
class Claim:
    """A model, how it is sampled, and the prompts that are said to be memorized and not to be."""

    name: str
    denoiser: Denoiser
    sampler: SamplerSpec
    memorized: Sequence[str]
    others: Sequence[str]


def build_prompted_stage(claim: Claim, *, seed: int) -> Stage:
    """Draw an output for every prompt and deal them out.

    Args:
        claim: The model and its prompts.
        seed: Seed of the outputs and of the split.

    Raises:
        BadInputError: when a prompt is in both lists.
        CalibrationError: when there are too few prompts.
    """
    both = set(claim.memorized) & set(claim.others)
    if both:
        raise BadInputError(
            f"{len(both)} prompt(s) are in both lists, {min(both)!r} for example: a prompt cannot "
            "be memorized and not. Take them out of one."
        )
    copies, others = _split(claim, seed)
    check_sizes(
        *map(len, (*copies, *others[1:])), remedy="Give more prompts, most of them not memorized."
    )
    watch = Stopwatch()
    prompts = [*claim.memorized, *claim.others]
    assert isinstance(claim.denoiser, TimedDenoiser)  # others read no prompts
    conditions = claim.denoiser.encode_prompts(prompts)
    pictures = _draw(claim, conditions, seed)
    planted = np.where(np.arange(len(prompts)) < len(claim.memorized), np.arange(len(prompts)), -1)
    items = Items(pictures, content_ids(pictures), conditions, planted, prompts)
    return Stage(
        choose=items.pick(np.concatenate([copies[0], others[0]])),
        calibrate=items.pick(others[1]),
        report=items.pick(np.concatenate([copies[1], others[2]])),
        arms={},
        evaluations=len(prompts) * claim.sampler.evaluations,
        seconds=watch.seconds,
    )


def list_warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where the words alone tell the two lists apart, beyond chance."""
    told = []
    for row in rows:
        area = row["auroc"]
        if "words" in row["needs"] and area and area["low"] is not None and area["low"] > 0.5:
            told.append(
                f"The words alone tell the two lists apart: {row['detector'].replace('_', ' ')} "
                f"has an AUROC of {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}) "
                "without looking at the model. What a detector adds to that cannot be seen here; "
                "take both lists from one source."
            )
    return told


def _split(claim: Claim, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the rows of memorized prompts (choose, report) and of the others (and calibrate)."""
    generator = np.random.default_rng(seed)
    count, other = len(claim.memorized), len(claim.others)
    copies = np.array_split(generator.permutation(count), 2)
    fifth = other // 5
    others = np.split(count + generator.permutation(other), [fifth, 3 * fifth])
    return copies, others


def _draw(
    claim: Claim, conditions: Shaped[Tensor, "case ..."], seed: int
) -> UInt8[Tensor, "case channel height width"]:
    ids = [f"bench-prompts/{seed}/{row:06d}" for row in range(len(conditions))]
    samples = claim.sampler.sample(claim.denoiser, ids, seed=seed, conditions=conditions)
    return decode_samples(claim.denoiser, samples, len(ids))
