import re

import numpy as np
import pytest

from equipoise.report import render_report
from equipoise.report.phase import _list_lines, build_phase
from equipoise.runs import finish_run, start_run

pytestmark = pytest.mark.slow  # drawing pages takes seconds

RATE = {"value": 0.125, "low": 0.1, "high": 0.15, "n": 12}
OTHER = {"value": 0.375, "low": 0.3, "high": 0.45, "n": 12}


def make_cell(diagram, units, images, copies, stored):
    return {
        "diagram": diagram, "units": units, "images": images, "copies": copies, "stored": stored,
        "predicted": 0.5, "score": 1 + stored, "std_stored": 0.9, "std_fresh": 0.7, "loss": 3.03,
        "closed_loss": 3.0,
    }  # fmt: skip


def make_run(path, *, kept=None):
    cells = [make_cell("units", p, n, 0, min(1, p / n)) for p in (2, 4) for n in (2, 4, 8)]
    cells += [make_cell("copies", 24, n, c, float(c > n / 100)) for c in (1, 2) for n in (60, 120)]
    errors = {"allocation": RATE, "enough_units": OTHER, "constant": OTHER}
    results = {
        "cells": cells,
        "boundary": {
            "units": [{"images": n, "units": 0.6 * n} for n in np.linspace(1.5, 8, 9)],
            "last_images": 8.5, "copy_share": 0.01,
        },
        "error": {"units": errors, "copies": errors},
        "kept": {"units": {"value": None, "low": None, "high": None, "n": 0}, "copies": kept},
    }  # fmt: skip
    spec = {
        "sigma": 0.2, "seed": "<i>1</i>", "seeds": 3, "mixture": {"modes": 12, "duplicated": 4},
        "grid": {"fixed_units": 24}, "copy_cosine": 0.98,
    }  # fmt: skip
    run = start_run(path, kind="phase", spec=spec, provenance={})
    return finish_run(run, results=results, cost={"seconds": 12.0})


def test_the_sentence_sets_the_theory_beside_a_constant(tmp_path):
    sentence = build_phase(make_run(tmp_path / "run"))["sentence"]
    assert "by 0.125 (0.100\u20130.150)" in sentence
    assert "0.375" in sentence


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page, with trainings from the closed form and without, the first one twice."""
    kept = {"value": 0.9, "low": 0.7, "high": 1.0, "n": 20}
    runs = [make_run(tmp_path_factory.mktemp("run") / "run", kept=k) for k in (kept, None)]
    return [render_report(run.path).read_text() for run in (*runs, runs[0])]


def test_the_page_shows_both_diagrams_with_their_boundaries_and_their_cells(pages):
    page = pages[1]
    assert page.count('<div class="plot"><svg') == 4
    for text in ("hidden units p", "copies of each duplicate", "1.010", "p = n", "8.5 images"):
        assert text in page
    assert page.count("<tr><td>") == 10
    assert "<i>1" not in page
    assert "<script" not in page


def test_trainings_from_the_closed_form_are_told_where_there_are_some(pages):
    told = "20 trainings stored fewer than predicted"
    assert told in pages[0]
    assert told not in pages[1]


def test_identifiers_of_the_plots_are_unique_and_rendering_twice_is_the_same(pages):
    ids = re.findall(r'\bid="([^"]+)"', pages[0])
    assert len(ids) == len(set(ids))
    assert pages[0] == pages[2]


def test_the_lines_are_the_boundary_of_the_record():
    boundary = {"copy_share": 0.1, "last_images": 5, "units": [{"images": 2, "units": 3}]}
    (copies,) = _list_lines("copies", boundary, (1, 2), (60, 120))
    assert copies.y == pytest.approx(0.1 * copies.x)
    paper, units = _list_lines("units", boundary, (2, 4), (2, 8))
    assert paper.y == pytest.approx(paper.x)
    assert units.x.tolist() == [2, 5, 5]
    assert units.y.tolist() == [3, 3, 8]
