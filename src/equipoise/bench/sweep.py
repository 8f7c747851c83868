"""A sweep over fresh outputs of a zoo model, chosen on one split and reported on another."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from equipoise.bench.fit import sweep_outputs
from equipoise.bench.interval import Positives, auroc, estimate
from equipoise.bench.outputs import generate_outputs
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
    novel = np.flatnonzero(outputs.novel)
    rows = {
        "selection": (np.flatnonzero(outputs.copies_of("selection")), novel[::2]),
        "report": (np.flatnonzero(outputs.copies_of("report")), novel[1::2]),
    }
    for split, (copies, others) in rows.items():
        if not len(copies) or not len(others):
            raise CalibrationError(
                f"The {split} split holds {len(copies)} copies and {len(others)} novel outputs; "
                "both are needed. Draw more outputs with --num-samples."
            )
    cells = sweep_outputs(model, outputs, np.arange(num_samples))
    chosen_rows = np.concatenate(rows["selection"])
    truth = torch.from_numpy(np.isin(chosen_rows, rows["selection"][0]))
    picked = [_take(cell, chosen_rows) for cell in cells]
    chosen = choose_cell(picked, truth)
    best = next(c for c in cells if _same(c, chosen.detector))
    copies, others = rows["report"]
    signed = chosen.detector.sign * best.scores.numpy()
    area = estimate(
        lambda a, b: auroc(a[:, 0], b[:, 0]),
        Positives(signed[copies][:, None], outputs.nearest[copies]),
        signed[others][:, None],
    )
    write_items(run, _build_items(outputs.ids, outputs.sources, signed, outputs.labels.tolist()))
    results = {
        "chosen": chosen.detector.model_dump(),
        "selection_auroc": chosen.auroc,
        "auroc": area,
        "cells": _rank(cells, rows),
    }
    evaluations = num_samples * chosen.detector.draws * len({cell.sigma for cell in cells})
    cost = {"evaluations": outputs.evaluations + evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


def _take(cell: SweepCell, rows: np.ndarray) -> SweepCell:
    return SweepCell(
        cell.site, cell.sigma, cell.pooling, cell.statistic, cell.scores[torch.from_numpy(rows)]
    )


def _same(cell: SweepCell, detector: Any) -> bool:  # noqa: ANN401 - a Spikiness
    keys = ("site", "sigma", "pooling", "statistic")
    return all(getattr(cell, key) == getattr(detector, key) for key in keys)


def _rank(
    cells: list[SweepCell], rows: dict[str, tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, Any]]:
    """Describe every combination, best on the selection split first."""
    described = []
    for cell in cells:
        scores = cell.scores.numpy()
        if not np.isfinite(scores).all():
            continue
        areas = {split: auroc(scores[a], scores[b]) for split, (a, b) in rows.items()}
        sign = 1 if areas["selection"] >= 0.5 else -1
        described.append(
            {
                "site": cell.site,
                "sigma": cell.sigma,
                "pooling": cell.pooling,
                "statistic": cell.statistic,
                "sign": sign,
                "selection_auroc": areas["selection"] if sign > 0 else 1 - areas["selection"],
                "report_auroc": areas["report"] if sign > 0 else 1 - areas["report"],
            }
        )
    return sorted(described, key=lambda row: -row["selection_auroc"])


def _build_items(
    ids: list[str], sources: list[str], scores: np.ndarray, labels: list[str]
) -> pa.Table:
    """Build the rows of a sweep: scores rank only, so p-values and verdicts are null."""
    count = len(ids)
    return pa.table(
        {
            "id": ids,
            "source": sources,
            "score": scores,
            "p_value": pa.nulls(count, pa.float64()),
            "q_value": pa.nulls(count, pa.float64()),
            "verdict": pa.nulls(count, pa.string()),
            "error": pa.nulls(count, pa.string()),
            "label": labels,
        }
    )
