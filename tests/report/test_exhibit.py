import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from equipoise.report import exhibit
from equipoise.report.gallery import spread
from equipoise.report.item import load_items
from equipoise.report.survey import survey_items
from equipoise.runs import start_run, write_items

NUM = 90


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ninety items of falling score: fifty flagged, ten inconclusive, thirty not flagged."""
    pictures = []
    for row in range(NUM):
        buffer = io.BytesIO()
        Image.fromarray(np.full((2, 3), row, np.uint8)).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    run = start_run(
        tmp_path_factory.mktemp("exhibit") / "run", kind="audit", spec={}, provenance={}
    )
    table = {
        "id": [f"{row // 2}" for row in range(NUM)], "source": [f"{row}" for row in range(NUM)],
        "score": [1.0 - row / NUM for row in range(NUM)], "p_value": [0.5] * NUM,
        "q_value": [0.5] * NUM, "error": [None] * NUM, "thumbnail": pictures,
        "verdict": ["memorized"] * 50 + ["inconclusive"] * 10 + ["not_memorized"] * 30,
    }  # fmt: skip
    write_items(run, pa.table(table))
    return run


def list_rows(exhibits):
    return [shown.item.row for shown in exhibits]


def test_what_is_flagged_is_shown_once(run):
    shown = exhibit.build_exhibits(run, survey_items(run))
    assert sorted(list_rows(shown.flagged) + list_rows(shown.rest)) == list(range(50))
    assert list_rows(shown.flagged)[0] == 0
    assert list_rows(shown.flagged)[-1] == 49
    assert list_rows(shown.inconclusive) == list(range(50, 60))
    assert (len(shown.quiet), shown.num_quiet) == (exhibit.STRIP, 30)
    assert list_rows(shown.table) == list(range(NUM))
    assert shown.num_pictured == NUM
    assert all(entry.thumbnails.sample for entry in shown.table)


def test_the_opening_shows_a_picture_once(run):
    shown = exhibit.build_exhibits(run, survey_items(run))
    assert list_rows(shown.opening) == [0, 2, 4, 6, 8, 10]


def test_a_spent_budget_leaves_rows_without_pictures(run, monkeypatch):
    survey = survey_items(run)
    free = exhibit.build_exhibits(run, survey)
    table, rest = ([entry.thumbnails.size for entry in part] for part in (free.table, free.rest))
    monkeypatch.setattr(exhibit, "TABLE_BUDGET", sum(table[:10]))
    monkeypatch.setattr(exhibit, "REST_BUDGET", sum(rest[:4]) - 1)
    shown = exhibit.build_exhibits(run, survey)
    assert (len(shown.table), len(shown.rest)) == (NUM, 3)
    pictured = [bool(entry.thumbnails.sample) for entry in shown.table]
    assert pictured == [True] * 10 + [False] * (NUM - 10)
    assert shown.num_pictured == 10


def test_even_choices_hold_both_ends(run):
    items = load_items(run)
    chosen = spread(items[:81], 5)
    assert [item.row for item in chosen] == [0, 20, 40, 60, 80]
    assert spread(items[:2], 5) == items[:2]
    assert spread([], 5) == []
