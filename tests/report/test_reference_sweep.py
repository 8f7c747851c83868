import re

import pytest

from equipoise.report import render_report
from equipoise.report.reference_sweep import build_reference_sweep
from equipoise.runs import finish_run, start_run


def make_cell(site, sigma, stability, selection, **changes):
    plain = {
        "sites": [site], "sigma": sigma, "pooling": "max", "statistic": "std", "scaled_units": 0,
        "sign": 1, "stability": stability, "selection_auroc": selection,
    }  # fmt: skip
    return plain | changes


def make_run(path, *, by_copies):
    area = {"value": 0.9, "low": 0.7, "high": 0.97, "n": 25, "groups": 5} if by_copies else None
    cells = [
        make_cell("up.0:in", 0.1, 0.95, 0.6 if by_copies else None),
        make_cell("up.0:in", 0.4, 0.90, 0.7 if by_copies else None),
        make_cell("up.1:<b>in", 0.1, 0.80, 0.99 if by_copies else None),
        make_cell("up.1:<b>in", 0.1, 0.85, 0.65 if by_copies else None, statistic="l4_l2"),
    ]
    results = {
        "reference": 60, "copies": 10 if by_copies else 0, "failed": {"bad<i>.png": "damaged"},
        "chosen_by": "known copies" if by_copies else "stability",
        "chosen": cells[2 if by_copies else 0], "auroc": area, "cannot_know": ["its <u>sign</u>"],
        "cells": cells,
    }  # fmt: skip
    run = start_run(path, kind="reference-sweep", spec={"model": "<s>m</s>"}, provenance={})
    return finish_run(run, results=results, cost={"evaluations": 9, "seconds": 1.0})


@pytest.mark.parametrize(
    ("by_copies", "shown", "answer"),
    [
        (False, [0.95, 0.90, 0.85], "most stable, with a rank correlation of 0.95"),
        (True, [0.6, 0.7, 0.99], "AUROC 0.900 (0.700\u20130.970), n = 25"),
    ],
    ids=["by stability", "by known copies"],
)
def test_the_page_answers_by_what_was_chosen_and_says_what_stays_open(
    by_copies, shown, answer, tmp_path
):
    run = make_run(tmp_path / "run", by_copies=by_copies)
    cells = [cell for _, row in build_reference_sweep(run)["heat"] for cell in row if cell.best]
    value = "chosen_on" if by_copies else "stability"
    assert [getattr(cell.best, value) for cell in cells] == shown
    assert [cell.chosen for cell in cells] == [not by_copies, False, by_copies]
    page = render_report(run.path).read_text()
    assert answer in re.search(r'<p class="answer">(.*?)</p>', page).group(1)
    assert ("not known" in page) != by_copies
    for foreign in ("<b>in", "<u>", "<s>", "<i>"):
        assert foreign not in page
    assert "damaged" in page


def test_a_run_without_a_choice_says_so(tmp_path):
    run = make_run(tmp_path / "run", by_copies=False)
    record = run.record.model_copy(update={"results": {}})
    built = build_reference_sweep(type(run)(run.path, record))
    assert built["sentence"].startswith("Nothing was chosen")
    assert built["heat"] == []
