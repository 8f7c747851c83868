import math

import numpy as np
import pyarrow as pa
import pytest

from equipoise.errors import RunError
from equipoise.report.item import list_scores, load_items, rank
from equipoise.runs import ITEM_COLUMNS, read_part, start_run, write_items

ROWS = {
    "score": [0.5, None, 2.0, math.nan, 0.5, 1.0],
    "verdict": ["not_memorized", None, "memorized", "memorized", "opera", "inconclusive"],
    "error": [None, "damaged", None, None, None, None],
}


def make_run(path, **columns):
    count = len(ROWS["score"])
    plain = {name: [f"{name}-{row}" for row in range(count)] for name in ("id", "source")}
    table = plain | dict.fromkeys(("p_value", "q_value"), [0.5] * count) | ROWS | columns
    run = start_run(path, kind="audit", spec={}, provenance={})
    write_items(run, pa.table(table))
    return run


def test_every_item_is_in_one_state_and_the_states_add_up(tmp_path):
    items = load_items(make_run(tmp_path / "run"))
    states = ["not_memorized", "failed", "memorized", "memorized", "unjudged", "inconclusive"]
    assert [item.state for item in items] == states


def test_single_rows_are_read_in_ascending_order_whatever_part_they_are_in(tmp_path):
    run = make_run(tmp_path / "run")
    write_items(run, read_part(run.list_parts()[0]), part=1)
    everything = load_items(run)
    assert len(everything) == 12
    chosen = load_items(run, [7, 0, 7, 5, 6])
    assert [item.row for item in chosen] == [0, 5, 6, 7]
    assert [item.source for item in chosen] == [everything[row].source for row in (0, 5, 6, 7)]
    assert load_items(run, []) == []


def test_ranked_by_score_what_has_none_later_what_failed_last(tmp_path):
    ranked = rank(load_items(make_run(tmp_path / "run")))
    assert [item.row for item in ranked] == [2, 5, 0, 4, 3, 1]


def test_optional_columns_may_be_missing_in_some_parts_or_of_other_types(tmp_path):
    run = make_run(tmp_path / "run")
    rest = {name: [None] for name in ITEM_COLUMNS} | {"id": ["x"], "source": ["y"]}
    write_items(run, pa.table(rest | {"ratio": ["wide"], "label": [7], "width": [3.0]}), part=1)
    items = load_items(run)
    assert [item.row for item in items] == list(range(7))
    assert (items[0].label, items[0].width) == (None, None)
    assert (items[6].ratio, items[6].label, items[6].width) == (None, "7", 3)


def test_a_missing_column_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.runs.folder.ITEM_COLUMNS", ())
    run = start_run(tmp_path / "run", kind="audit", spec={}, provenance={})
    write_items(run, pa.table({"id": ["x"], "score": [1.0]}))
    with pytest.raises(RunError, match=r"source, p_value, .* missing"):
        load_items(run)
    with pytest.raises(RunError, match=r"source, p_value, .* missing"):
        load_items(run, [0])


def test_no_rows_and_text_that_is_no_utf8_are_errors(tmp_path):
    empty = start_run(tmp_path / "empty", kind="audit", spec={}, provenance={})
    write_items(empty, pa.table({name: pa.array([], pa.string()) for name in ITEM_COLUMNS}))
    with pytest.raises(RunError, match="holds no items"):
        load_items(empty)
    broken = pa.Array.from_buffers(
        pa.string(), 6,
        [None, pa.py_buffer(np.arange(7, dtype=np.int32)), pa.py_buffer(b"\xff" * 6)],
    )  # fmt: skip
    with pytest.raises(RunError, match="cannot be read"):
        load_items(make_run(tmp_path / "run", source=broken))


def test_items_keep_order_and_missing_figures_are_none(fake, tmp_path):
    scores = [math.nan, None, *[1.0] * 78]
    items = load_items(fake.make_run(tmp_path / "run", columns={"score": scores}, num_items=80))
    assert [item.row for item in items] == list(range(80))
    assert items[0].score is None
    assert items[1].score is None
    assert all(item.flagged == (item.verdict == "memorized") for item in items)


def test_scores_are_listed_by_label(small):
    items = load_items(small)
    assert len(list_scores(items, "copy")) == 24
    assert list_scores(items, "opera") == []
