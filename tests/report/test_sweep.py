import re

import numpy as np
import pyarrow as pa
import pytest

from equipoise.report import render_report
from equipoise.report.sweep import STRONGEST, build_sweep
from equipoise.runs import finish_run, start_run, write_items

SITES = (("up.0:in",), ("up.1:<b>in",), ("up.0:in", "up.1:<b>in"))


def make_cell(sites, sigma, selection, report, **changes):
    plain = {
        "sites": list(sites), "sigma": sigma, "pooling": "max", "statistic": "std",
        "scaled_units": 0, "sign": 1, "selection_auroc": selection, "report_auroc": report,
    }  # fmt: skip
    return plain | changes


def make_run(path):
    """Three places by two noise levels; at the second site a worse combination besides."""
    chosen = make_cell(SITES[2], 0.4, 0.99, 0.95)
    cells = [
        *(make_cell(s, sigma, 0.7, 0.6) for s in SITES for sigma in (0.1, 0.4)),
        make_cell(SITES[1], 0.1, 0.8, 0.75, statistic="l4_l2", sign=-1), chosen,
    ]  # fmt: skip
    run = start_run(path, kind="sweep", spec={"model": "zoo:x", "num_samples": 9, "seed": 0},
                    provenance={})  # fmt: skip
    nulls = dict.fromkeys(("p_value", "q_value", "verdict", "error"), [None] * 6)
    scores = np.arange(6.0)
    names = {"id": list("abcdef"), "source": list("ghijkl"), "label": ["novel"] * 4 + ["copy"] * 2}
    write_items(run, pa.table(names | nulls | {"score": scores}))
    area = {"value": 0.95, "low": 0.9, "high": 0.98, "n": 6, "groups": 2}
    results = {"chosen": chosen, "selection_auroc": 0.99, "auroc": area, "cells": cells,
               "clean_twin_auroc": area | {"value": 0.61}}  # fmt: skip
    return finish_run(run, results=results, cost={"evaluations": 10, "seconds": 1.0})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("sweep") / "run")


def test_every_place_holds_the_best_of_its_combinations_and_one_is_chosen(run):
    heat = build_sweep(run)["heat"]
    assert [[cell.best.chosen_on for cell in cells] for _, cells in heat] == [
        [0.7, 0.7], [0.8, 0.7], [0.7, 0.99],
    ]  # fmt: skip
    assert [cell.chosen for _, cells in heat for cell in cells] == [False] * 5 + [True]
    shades = [cell.shade for _, cells in heat for cell in cells]
    assert (min(shades), max(shades), shades[-1]) == (0, STRONGEST, STRONGEST)


def test_the_page_answers_with_the_figure_of_the_other_split(run):
    page = render_report(run.path).read_text()
    answer = re.search(r'<p class="answer">(.*?)</p>', page).group(1)
    assert "AUROC 0.950 (0.900\u20130.980), n = 6" in answer
    assert ".99" not in answer
    assert "the same combination has 0.610 (0.900\u20130.980): what is above one half" in page
    assert "<script" not in page
    assert "<b>in" not in page


def test_a_run_without_a_choice_says_so(run):
    record = run.record.model_copy(update={"results": {}})
    built = build_sweep(type(run)(run.path, record))
    assert built["sentence"].startswith("Nothing was chosen")
    assert built["heat"] == []
