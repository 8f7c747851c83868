"""The phase diagrams as a run folder (kind "phase"): a part of the items a cell, resumable.

A cell is trained with several seeds, a row each, and its rows are written at once and whole. A
stopped run goes on with the cells that are missing; as a row depends on its cell and its seed
alone, it ends with the rows of an unbroken one.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest
from tqdm.auto import tqdm

from equipoise.runs import (
    ITEM_SCHEMA,
    Run,
    finish_run,
    locate_part,
    lock_run,
    resume_run,
    write_items,
)
from equipoise.theory.mixture import GaussianMixture
from equipoise.theory.phase import cell as training
from equipoise.theory.phase.allocation import find_copy_share, find_half_stored, find_last
from equipoise.theory.phase.cell import Cell, measure_cell
from equipoise.theory.phase.world import (
    DUPLICATED,
    MODES,
    NORM,
    SPREAD,
    SPREAD_DIM,
    build_mixture,
)

SEEDS = 3
"""Trainings of a cell."""
RESAMPLES = 1000
SILENT = 1e-9
"""A standard deviation that stands for that of a network without an active unit."""
SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("diagram", pa.string()),
        ("units", pa.int64()),
        ("images", pa.int64()),
        ("copies", pa.int64()),
        ("seed", pa.int64()),
        ("stored", pa.float64()),
        ("predicted", pa.float64()),
        ("kept", pa.float64()),
        ("std_stored", pa.float64()),
        ("std_fresh", pa.float64()),
        ("loss", pa.float64()),
        ("closed_loss", pa.float64()),
    ]
)
"""One row a training; `score` is `std_stored / std_fresh`."""


@dataclass(frozen=True)
class Grid:
    """The cells of both diagrams."""

    units: Sequence[int] = (2, 4, 8, 16, 32, 64)
    """Hidden units, in the diagram of units."""
    images: Sequence[int] = (2, 4, 8, 16, 32, 64, 128)
    """Images, in the diagram of units."""
    copies: Sequence[int] = (1, 2, 4, 8, 16, 32)
    """How often each duplicate is given, in the diagram of copies."""
    others: Sequence[int] = (60, 120, 240, 480, 960, 1920)
    """Other images, in the diagram of copies."""
    fixed_units: int = 24
    """Hidden units in the diagram of copies: enough for means and duplicates, not for all."""

    def list_cells(self) -> list[Cell]:
        """List the cells, those of the diagram of units first."""
        return [Cell("units", p, n, 0) for p in self.units for n in self.images] + [
            Cell("copies", self.fixed_units, n, c) for c in self.copies for n in self.others
        ]


def run_phase(out: Path, *, seed: int, grid: Grid | None = None) -> Run:
    """Train the cells that are not on the disk yet, and answer from all of them.

    Args:
        out: Run folder. A finished run of the same spec is returned as it is.
        seed: The first of the seeds of every cell.
        grid: The cells; default those of `Grid()`.

    Raises:
        RunError: when the folder holds another run, or another process is writing it.
    """
    grid = grid or Grid()
    with lock_run(out):
        run = resume_run(out, kind="phase", spec=_describe(grid, seed), provenance={})
        if run.record.status == "finished":
            return run
        started = time.perf_counter()
        mixture = build_mixture()
        for number, cell in enumerate(tqdm(grid.list_cells(), desc="phase", unit="cell")):
            if not locate_part(run, number).exists():
                write_items(run, build_rows(cell, mixture, seed=seed), part=number)
        results = answer(run.read_items().to_pylist(), grid)
        return finish_run(run, results=results, cost={"seconds": time.perf_counter() - started})


def build_rows(cell: Cell, mixture: GaussianMixture, *, seed: int) -> pa.Table:
    """Train a cell with every seed; one row each."""
    rows = []
    for own in range(seed, seed + SEEDS):
        found = measure_cell(cell, mixture, seed=own)
        name = "/".join(f"{key}={value}" for key, value in (asdict(cell) | {"seed": own}).items())
        known = {
            "id": name,
            "source": f"phase/{name}",
            "score": found["std_stored"] / max(found["std_fresh"], SILENT),
        }
        rows.append(dict.fromkeys(SCHEMA.names) | known | asdict(cell) | {"seed": own} | found)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def answer(rows: Sequence[Mapping[str, Any]], grid: Grid) -> dict[str, Any]:
    """Average the trainings of each cell, compare them with the theory, and lay its boundary."""
    curve = [
        {"images": n, "units": find_half_stored(n)}
        for n in np.geomspace(min(grid.images), max(grid.images), 200)
    ]
    return {
        "cells": [_average(cell, rows) for cell in grid.list_cells()],
        "boundary": {
            "units": [point for point in curve if isfinite(point["units"])],
            "last_images": find_last(),
            "copy_share": find_copy_share(sigma=training.SIGMA, weight_decay=training.DECAY),
        },
        "error": {name: _compare(name, rows) for name in ("units", "copies")},
        "kept": {name: _count_kept(name, rows) for name in ("units", "copies")},
    }  # fmt: skip


def _average(cell: Cell, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if all(row[key] == value for key, value in asdict(cell).items())]
    names = ("stored", "predicted", "score", "std_stored", "std_fresh", "loss", "closed_loss")
    return asdict(cell) | {name: float(np.mean([row[name] for row in own])) for name in names}


def _compare(diagram: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say how far the share that is stored lies from the predicted one, and from two others."""
    own = [row for row in rows if row["diagram"] == diagram]
    stored = np.array([row["stored"] for row in own])
    guesses = {
        "allocation": np.array([row["predicted"] for row in own]),
        "constant": np.full(len(own), np.median(stored)),
    }
    if diagram == "units":
        enough = [min(1.0, row["units"] / row["images"]) for row in own]
        guesses["enough_units"] = np.array(enough)
    return {name: _bootstrap(np.abs(stored - guess)) for name, guess in guesses.items()}


def _count_kept(diagram: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count, of trainings that stored fewer than predicted, those that do from the closed form.

    The interval is Clopper and Pearson's.
    """
    own = [row for row in rows if row["diagram"] == diagram and row["kept"] is not None]
    count = sum(row["kept"] >= row["predicted"] for row in own)
    if not own:
        return {"value": None, "low": None, "high": None, "n": 0}
    interval = binomtest(count, len(own)).proportion_ci()
    return {
        "value": count / len(own), "low": float(interval.low), "high": float(interval.high),
        "n": len(own),
    }  # fmt: skip


def _bootstrap(values: np.ndarray) -> dict[str, Any]:
    """Return the mean with its 95 % percentile interval over trainings."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "value": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "n": len(values),
    }


def _describe(grid: Grid, seed: int) -> dict[str, Any]:
    return {
        "grid": asdict(grid), "seed": seed, "seeds": SEEDS,
        "mixture": {
            "modes": MODES, "spread_dim": SPREAD_DIM, "norm": NORM, "spread": SPREAD,
            "duplicated": DUPLICATED,
        },
        "sigma": training.SIGMA, "weight_decay": training.DECAY, "steps": training.STEPS,
        "batch": training.BATCH, "rate": training.RATE, "copy_cosine": training.COPY_COSINE,
    }  # fmt: skip
