"""A sweep over fresh outputs of a zoo model, chosen on one split and reported on another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from equipoise.bench.fit import SIGMA_SHARES, name_copies, sweep_outputs
from equipoise.bench.interval import estimate_auroc
from equipoise.bench.outputs import LabelledOutputs, generate_outputs
from equipoise.denoisers import fingerprint
from equipoise.detection import Stopwatch, SweepCell, choose_cell
from equipoise.errors import CalibrationError
from equipoise.runs import Run, finish_run, start_run, write_items
from equipoise.zoo.package import ZooModel


def run_sweep(model: ZooModel, folder: Path, *, seed: int, num_samples: int) -> Run:
    """Sweep, choose on copies of the selection images, report on copies of the report images.

    Novel outputs are dealt in turn to the two splits, so that the splits share no item.

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
    selected = np.concatenate([rows.selection_copies, rows.selection_novel])
    reported = np.concatenate([rows.report_copies, rows.report_novel])
    cells = sweep_outputs(
        model, outputs, selected=np.concatenate([selected, reported]), reference=rows.reference
    )
    chosen_on = slice(0, len(selected))
    reported_on = slice(len(selected), None)
    planted = name_copies(outputs, selected)
    best = choose_cell([_cut(cell, chosen_on) for cell in cells], planted)
    other_planted = name_copies(outputs, reported)
    described = [
        _describe(_cut(cell, chosen_on), planted, _cut(cell, reported_on), other_planted)
        for cell in cells
    ]
    ranked = sorted(described, key=lambda row: -row["selection_auroc"])
    scores = best.detector.sign * cells[best.index].scores
    signed = scores[reported_on].numpy()
    is_copy = (other_planted >= 0).numpy()
    groups = outputs.nearest[rows.report_copies]
    area = estimate_auroc(signed[is_copy], groups, signed[~is_copy])
    everything = np.concatenate([selected, reported])
    write_items(run, _build_items(outputs, everything, scores))
    results = {
        "chosen": best.detector.describe(),
        "selection_auroc": best.auroc,
        "auroc": area,
        "cells": ranked,
    }
    evaluations = len(everything) * best.detector.draws * len(SIGMA_SHARES)
    cost = {"evaluations": outputs.evaluations + evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


@dataclass(frozen=True)
class _Rows:
    """The rows of each split; no two share an item, copies share no planted image."""

    reference: np.ndarray
    selection_copies: np.ndarray
    selection_novel: np.ndarray
    report_copies: np.ndarray
    report_novel: np.ndarray


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
    count = len(rows)
    return pa.table(
        {
            "id": [outputs.ids[row] for row in rows],
            "source": [outputs.sources[row] for row in rows],
            "score": scores.numpy(),
            "p_value": pa.nulls(count, pa.float64()),
            "q_value": pa.nulls(count, pa.float64()),
            "verdict": pa.nulls(count, pa.string()),
            "error": pa.nulls(count, pa.string()),
            "label": outputs.labels[rows].tolist(),
        }
    )
