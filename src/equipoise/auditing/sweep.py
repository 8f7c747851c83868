r"""A sweep on a model whose copies nobody knows: by stability, and by a few known copies.

Two things can be measured without labels. *Stability*: the rank correlation of the scores of one
picture under two sets of noise draws; what changes with the noise is no property of the picture.
*Separation*: the area under the ROC curve of a few known copies against the reference pictures,
chosen on every other copy and on a third of the reference, reported on the others.

Without a known copy the sign of a statistic cannot be known, nor whether it tells copies at all:
then the most stable combination is taken, with the sign of the paper, and the record says so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from scipy import stats
from torch import Tensor

from equipoise.auditing.pile import PicturePile
from equipoise.auditing.reference import read_items, stack_pictures
from equipoise.bench.interval import estimate_auroc
from equipoise.denoisers import Denoiser, fingerprint
from equipoise.detection import Stopwatch, SweepCell, choose_cell, sweep_cells
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids
from equipoise.representation import select_sites
from equipoise.runs import Run, finish_run, start_run

SIGMA_SHARES = (0.1, 0.2, 0.4, 0.8)
DRAWS = 2
MIN_REFERENCE = 30
MIN_COPIES = 4
CANNOT_KNOW = {
    "known copies": (
        "whether copies of other pictures look alike: a few known copies are a small sample",
    ),
    "stability": (
        "whether the chosen statistic tells copies at all",
        "its sign: that of the paper is taken, and it flips between sites and noise levels",
    ),
}
"""What a sweep leaves open, by what it chose by."""


def run_reference_sweep(
    denoiser: Denoiser,
    name: str,
    reference: PicturePile,
    out: Path,
    *,
    copies: PicturePile | None = None,
    sites: Sequence[str] | None = None,
    seed: int = 0,
) -> Run:
    """Sweep sites x sigma x pooling x statistic x scale on pictures of the user's own.

    Args:
        denoiser: The model.
        name: How it was asked for, for the record.
        reference: Pictures that are not memorized, at least 30.
        out: Run folder to write.
        copies: Known copies, at least 4; None chooses by stability.
        sites: Names or patterns, tried one by one; default the default sites, and all together.
        seed: Seed of the noise.

    Raises:
        BadInputError: when too few pictures can be read.
        RunError: when `out` holds a run already.
    """
    watch = Stopwatch()
    items, failed = read_items(reference)
    pictures = stack_pictures(items)
    known = torch.zeros((0, *reference.shape), dtype=torch.uint8)
    if copies is not None:
        copied, more = read_items(copies)
        known, failed = stack_pictures(copied), failed | more
    _check(len(pictures), None if copies is None else len(known))
    run = start_run(
        out, kind="reference-sweep",
        spec={"model": name, "reference": reference.describe(), "seed": seed, "draws": DRAWS,
              "copies": None if copies is None else copies.describe()},
        provenance={"fingerprint": fingerprint(denoiser)},
    )  # fmt: skip
    planted = torch.cat([torch.full((len(pictures),), -1), torch.arange(len(known))])
    first, second = (
        _sweep(denoiser, torch.cat([pictures, known]), len(pictures), sites, one)
        for one in (seed, seed + 1)
    )
    rows = slice(len(pictures))
    stability = [_correlate(a, b, rows) for a, b in zip(first, second, strict=True)]
    results = _choose(first, stability, planted, by_copies=copies is not None)
    looks = 2 * DRAWS * len(SIGMA_SHARES) * len(planted)
    counts = {"reference": len(pictures), "copies": len(known), "failed": failed}
    return finish_run(
        run, results=counts | results, cost={"evaluations": looks, "seconds": watch.seconds}
    )


def _check(reference: int, copies: int | None) -> None:
    if reference < MIN_REFERENCE or (copies is not None and copies < MIN_COPIES):
        raise BadInputError(
            f"Cannot sweep on {reference} reference pictures and {copies or 0} known copies that "
            f"can be read: at least {MIN_REFERENCE} and, if copies are given, {MIN_COPIES} are "
            "needed."
        )


def _sweep(
    denoiser: Denoiser,
    pictures: UInt8[Tensor, "case channel height width"],
    num_reference: int,
    sites: Sequence[str] | None,
    seed: int,
) -> list[SweepCell]:
    """Score every combination; every third reference picture measures the scale of the units."""
    names = select_sites(denoiser, sites or denoiser.default_sites)
    together = [] if sites else [names]
    scale = (torch.arange(len(pictures)) % 3 == 0) & (torch.arange(len(pictures)) < num_reference)
    return list(
        sweep_cells(
            denoiser, as_unit(pictures), content_ids(pictures),
            site_sets=[*((one,) for one in names), *together],
            sigmas=[denoiser.snap(share * denoiser.data_std) for share in SIGMA_SHARES],
            reference=scale, draws=DRAWS, seed=seed,
        )
    )  # fmt: skip


def _correlate(one: SweepCell, two: SweepCell, rows: slice) -> float:
    """Spearman's rank correlation of the scores under two sets of draws; 0 where undefined."""
    pair = np.stack([one.scores[rows].numpy(), two.scores[rows].numpy()])
    if not np.isfinite(pair).all() or not (pair.std(axis=1) > 0).all():
        return 0.0
    return float(np.corrcoef(stats.rankdata(pair, axis=1))[0, 1])


def _choose(
    cells: Sequence[SweepCell],
    stability: Sequence[float],
    planted: Int[Tensor, " case"],
    *,
    by_copies: bool,
) -> dict[str, Any]:
    """Choose on one split, report on the other; by stability where no copy is known."""
    place = torch.where(planted >= 0, planted % 2 + 1, torch.arange(len(planted)) % 3)
    chosen_on, reported_on = place == 1, place == 2
    if by_copies:
        cut = [SweepCell(cell.detector, cell.scores[chosen_on]) for cell in cells]
        best = choose_cell(cut, planted[chosen_on])
        index, detector = best.index, best.detector
        scores = (detector.sign * cells[index].scores)[reported_on].numpy()
        is_copy = (planted[reported_on] >= 0).numpy()
        groups = planted[reported_on].numpy()[is_copy]
        area = estimate_auroc(scores[is_copy], groups, scores[~is_copy])
    else:
        index, area = int(np.argmax(stability)), None
        detector = cells[index].detector
    chosen_by = "known copies" if by_copies else "stability"
    order = sorted(range(len(cells)), key=lambda i: -stability[i])
    return {
        "chosen_by": chosen_by,
        "chosen": detector.describe() | {"stability": stability[index]},
        "detector": detector.model_dump(mode="json"),
        "auroc": area,
        "cannot_know": list(CANNOT_KNOW[chosen_by]),
        "cells": [
            _describe(cells[i], stability[i], planted, chosen_on if by_copies else None)
            for i in order
        ],
    }


def _describe(
    cell: SweepCell, stability: float, planted: Tensor, rows: Tensor | None
) -> dict[str, Any]:
    area = None
    if rows is not None:
        area = SweepCell(cell.detector, cell.scores[rows]).auroc(planted[rows])
    return cell.detector.describe() | {"stability": stability, "selection_auroc": area}
