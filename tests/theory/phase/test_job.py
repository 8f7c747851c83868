import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.runs import check_run, load_run
from equipoise.theory.phase import Grid, job, run_phase
from equipoise.theory.phase import cell as cell_module
from equipoise.theory.phase.job import answer

SMALL = Grid(units=(2, 8), images=(2, 6), copies=(1, 8), others=(20, 40), fixed_units=16)


def make_row(diagram, units, images, stored, predicted, *, kept=None):
    return {
        "diagram": diagram, "units": units, "images": images, "copies": 0, "stored": stored,
        "predicted": predicted, "kept": kept, "score": 1.0, "std_stored": 1.0, "std_fresh": 1.0,
        "loss": 1.0, "closed_loss": 1.0,
    }  # fmt: skip


@pytest.fixture
def rows():
    """Four trainings a cell: the theory is right but for one of them, which is half off."""
    grid = Grid(units=(2, 4), images=(4,), copies=(), others=())
    units = [make_row("units", 2, 4, 0.5, 0.5) for _ in range(3)]
    units += [make_row("units", 2, 4, 0.0, 0.5, kept=0.5)]
    units += [make_row("units", 4, 4, 1.0, 1.0) for _ in range(4)]
    return grid, [*units, make_row("copies", 9, 9, 1.0, 1.0)]


def test_cells_are_averages_and_errors_are_mean_differences(rows):
    grid, found = rows
    results = answer(found, grid)
    assert [cell["stored"] for cell in results["cells"]] == [0.375, 1.0]
    error = results["error"]["units"]["allocation"]
    assert error["value"] == pytest.approx(0.5 / 8)
    assert error["low"] <= error["value"] <= error["high"]
    assert (error["n"], results["error"]["copies"]["allocation"]["value"]) == (8, 0)
    assert results["error"]["units"]["constant"]["value"] == pytest.approx(
        np.abs(np.array([0.5] * 3 + [0.0] + [1.0] * 4) - 0.75).mean()
    )


def test_a_theory_that_predicts_the_contrary_has_a_large_error(rows):
    grid, found = rows
    wrong = [row | {"predicted": 1 - row["stored"]} for row in found]
    right, mistaken = (answer(r, grid)["error"]["units"]["allocation"] for r in (found, wrong))
    assert mistaken["low"] > right["high"]


def test_of_trainings_that_fell_short_those_that_keep_the_share_are_counted(rows):
    grid, found = rows
    results = answer(found, grid)["kept"]
    assert (results["units"]["value"], results["units"]["n"]) == (1, 1)
    assert results["units"]["low"] == pytest.approx(0.025)  # Clopper-Pearson, 1 of 1
    assert results["copies"] == {"value": None, "low": None, "high": None, "n": 0}
    other = [row | {"kept": 0.25} if row["kept"] else row for row in found]
    assert answer(other, grid)["kept"]["units"]["value"] == 0


def test_the_document_is_json(rows):
    grid, found = rows
    json.dumps(answer(found, grid), allow_nan=False)


@pytest.fixture
def short(monkeypatch):
    """Two trainings a cell, of a moment each."""
    monkeypatch.setattr(cell_module, "STEPS", 20)
    monkeypatch.setattr(job, "SEEDS", 2)


@pytest.mark.slow
def test_a_finished_run_is_returned_and_another_spec_is_refused(short, tmp_path):
    run = run_phase(tmp_path / "run", seed=0, grid=SMALL)
    assert run.record.status == "finished"
    assert len(run.read_items()) == 2 * 8
    assert len(set(run.read_items()["id"].to_pylist())) == 16
    assert "Phase diagrams" in render_report(run.path).read_text()
    before = (run.path / "run.json").read_bytes()
    assert run_phase(run.path, seed=0, grid=SMALL).record == run.record
    assert (run.path / "run.json").read_bytes() == before
    with pytest.raises(RunError, match="seed"):
        run_phase(run.path, seed=1, grid=SMALL)


@pytest.mark.slow
def test_a_run_killed_and_started_again_ends_with_the_bytes_of_an_unbroken_one(short, tmp_path):
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        import torch
        from equipoise.theory.phase import Grid, job, run_phase
        from equipoise.theory.phase import cell
        torch.set_num_threads(1)
        cell.STEPS, job.SEEDS = 20, 2
        grid = Grid(units=(2, 8), images=(2, 6), copies=(1, 8), others=(20, 40), fixed_units=16)
        run_phase(Path(sys.argv[1]), seed=0, grid=grid)
        """)
    out = tmp_path / "run"
    command = [sys.executable, "-c", script, str(out)]
    parts = out / "items"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for wanted in (1, 4):  # killed when so many cells are on the disk
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
            while len(list(parts.glob("part-*"))) < wanted and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.stderr.read()
        assert load_run(out).record.status == "running"
        assert wanted <= len(list(parts.glob("part-*"))) < 8
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("part-*")}
    run = run_phase(out, seed=0, grid=SMALL)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not trained again
    whole = run_phase(tmp_path / "whole", seed=0, grid=SMALL)
    assert run.record.files == whole.record.files
    assert len(run.record.files) == 8
    assert run.record.results == whole.record.results
    assert set(check_run(out).values()) == {"ok"}
