"""A sweep over fresh outputs of a zoo model, chosen on one split and reported on another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from equipoise.bench.baselines import DenoisingResidual
from equipoise.bench.fit import SIGMA_SHARES, choose_residual, name_copies, sweep_outputs
from equipoise.bench.interval import estimate_auroc
from equipoise.bench.outputs import LabelledOutputs, build_unjudged, generate_outputs
from equipoise.denoisers import Denoiser, fingerprint
from equipoise.detection import Spikiness, Stopwatch, SweepCell, choose_cell
from equipoise.errors import CalibrationError
from equipoise.images import as_unit
from equipoise.runs import Run, finish_run, start_run, write_items
from equipoise.zoo.package import ZooModel


def run_sweep(
    model: ZooModel, twin: Denoiser, folder: Path, *, seed: int, num_samples: int
) -> Run:
    """Sweep, choose on copies of the selection images, report on copies of the report images.

    Novel outputs are dealt in turn to the two splits, so that the splits share no item. The
    denoising residual, chosen and reported on the same outputs, stands beside it, and so does what
    the chosen combination makes of the reported outputs in `twin`, which memorized nothing.

    Raises:
        CalibrationError: when a split holds no copy or no novel output.
    """
    watch = Stopwatch()
    run = start_run(
        folder, kind="sweep",
        spec={"model": f"zoo:{model.recipe.name}", "seed": seed, "num_samples": num_samples},
        provenance={"fingerprint": fingerprint(model.denoiser)},
    )  # fmt: skip
    outputs = generate_outputs(model, num_samples, seed=seed, stream="sweep")
    rows = _split(outputs)
    both = np.concatenate([rows.selected, rows.reported])
    cells = sweep_outputs(model, outputs, selected=both, reference=rows.reference)
    planted = name_copies(outputs, rows.selected)
    best = choose_cell([_cut(cell, rows.chosen_on) for cell in cells], planted)
    scores = best.detector.sign * cells[best.index].scores
    residual = choose_residual(model, outputs, rows.selected)
    others = _score(residual, model.denoiser, outputs, rows.reported)
    content = _score(best.detector, twin, outputs, rows.reported)
    write_items(run, _build_items(outputs, both, scores))
    results = {
        "chosen": best.detector.describe(),
        "selection_auroc": best.auroc,
        "auroc": _estimate(scores[rows.reported_on], outputs, rows.reported),
        "clean_twin_auroc": _estimate(content, outputs, rows.reported),
        "residual": {
            "sigma": residual.sigma,
            "sign": residual.sign,
            "auroc": _estimate(others, outputs, rows.reported),
        },
        "cells": _rank_cells(cells, outputs, rows),
    }
    # The residual is tried at every level on the selection, and once more on the report; the
    # twin sees the report alone.
    levels = len(SIGMA_SHARES)
    looked_at = (len(rows.reference) + len(both)) * levels + len(rows.reported)
    evaluations = looked_at * best.detector.draws
    evaluations += (levels * len(rows.selected) + len(rows.reported)) * residual.draws
    cost = {"evaluations": outputs.evaluations + evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


def _score(
    detector: Spikiness | DenoisingResidual,
    denoiser: Denoiser,
    outputs: LabelledOutputs,
    rows: np.ndarray,
) -> Tensor:
    pictures = as_unit(outputs.pictures[torch.from_numpy(rows)])
    return detector.score(denoiser, pictures, [outputs.ids[row] for row in rows]).values


def _estimate(scores: Tensor, outputs: LabelledOutputs, rows: np.ndarray) -> dict[str, Any]:
    """Estimate the AUROC of scores of some outputs, copies grouped by planted image."""
    planted = name_copies(outputs, rows).numpy()
    is_copy = planted >= 0
    return estimate_auroc(scores.numpy()[is_copy], planted[is_copy], scores.numpy()[~is_copy])


@dataclass(frozen=True)
class _Rows:
    """The rows of each split; no two share an item, copies share no planted image."""

    reference: np.ndarray
    selection_copies: np.ndarray
    selection_novel: np.ndarray
    report_copies: np.ndarray
    report_novel: np.ndarray

    @property
    def selected(self) -> np.ndarray:
        """What the combination is chosen on."""
        return np.concatenate([self.selection_copies, self.selection_novel])

    @property
    def reported(self) -> np.ndarray:
        """What it is reported on."""
        return np.concatenate([self.report_copies, self.report_novel])

    @property
    def chosen_on(self) -> slice:
        """Places of the selection in the scores of both splits, where it comes first."""
        return slice(0, len(self.selected))

    @property
    def reported_on(self) -> slice:
        """Places of the report there."""
        return slice(len(self.selected), None)


def _split(outputs: LabelledOutputs) -> _Rows:
    """Deal the novel outputs in turn; the copies go where their planted image belongs."""
    novel = np.flatnonzero(outputs.novel)
    rows = _Rows(
        novel[::3],
        np.flatnonzero(outputs.copies_of("selection")),
        novel[1::3],
        np.flatnonzero(outputs.copies_of("report")),
        novel[2::3],
    )
    smallest = min(map(len, (rows.selection_copies, rows.report_copies, rows.report_novel)))
    if not smallest:
        raise CalibrationError(
            f"A split holds no copy or no novel output ({len(rows.selection_copies)} and "
            f"{len(rows.report_copies)} copies, {len(novel)} novel outputs). Draw more outputs "
            "with --num-samples."
        )
    return rows


def _rank_cells(
    cells: Sequence[SweepCell], outputs: LabelledOutputs, rows: _Rows
) -> list[dict[str, Any]]:
    """Describe every combination on both splits, the best on the selection first."""
    planted, others = name_copies(outputs, rows.selected), name_copies(outputs, rows.reported)
    described = [
        _describe(_cut(cell, rows.chosen_on), planted, _cut(cell, rows.reported_on), others)
        for cell in cells
    ]
    return sorted(described, key=lambda row: -row["selection_auroc"])


def _cut(cell: SweepCell, rows: slice) -> SweepCell:
    return SweepCell(cell.detector, cell.scores[rows])


def _describe(
    chosen_on: SweepCell, planted: Tensor, reported_on: SweepCell, other_planted: Tensor
) -> dict[str, Any]:
    """Describe a combination: its sign and AUROC on the selection, its AUROC on the report."""
    on_selection, on_report = chosen_on.auroc(planted), reported_on.auroc(other_planted)
    sign = 1 if on_selection >= 0.5 else -1
    return chosen_on.detector.describe() | {
        "sign": sign,
        "selection_auroc": max(on_selection, 1 - on_selection),
        "report_auroc": on_report if sign > 0 else 1 - on_report,
    }


def _build_items(outputs: LabelledOutputs, rows: np.ndarray, scores: Tensor) -> pa.Table:
    """Build the rows of a sweep: scores rank only, so p-values and verdicts are null."""
    ids, sources = ([names[row] for row in rows] for names in (outputs.ids, outputs.sources))
    return pa.table(
        build_unjudged(ids, sources, scores.numpy()) | {"label": outputs.labels[rows].tolist()}
    )
