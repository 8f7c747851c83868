import pyarrow as pa
import pytest

from equipoise.errors import RunError
from equipoise.report import render_against
from equipoise.report.against import build_against, list_changes, list_differences
from equipoise.runs import ITEM_COLUMNS, finish_run, start_run, write_items


def make_run(path, ids, scores, verdicts, *, kind="audit", spec=None, results=None):
    table = {name: [None] * len(ids) for name in ITEM_COLUMNS}
    table |= {"id": ids, "source": [f"<b>{i}</b>.png" for i in ids], "score": scores,
              "verdict": verdicts}  # fmt: skip
    run = start_run(path, kind=kind, spec=spec or {}, provenance={"fingerprint": "ab"})
    write_items(run, pa.table(table))
    return finish_run(run, results=results or {}, cost={})


def rate(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 9}


@pytest.fixture
def runs(tmp_path):
    """Three pictures in both, one of them judged otherwise; the second run also has one twice."""
    no, yes = "not_memorized", "memorized"
    one = make_run(
        tmp_path / "one", list("abcd"), [1.0, 2.0, 3.0, 4.0], [no, no, yes, yes],
        spec={"model": "m", "seed": 1}, results={"copy_rate": rate(0.1, 0.05, 0.2), "scored": 4},
    )  # fmt: skip
    two = make_run(
        tmp_path / "two", list("bcbae"), [2.5, 2.9, 9.0, 0.5, 7.0], [yes, yes, no, no, yes],
        spec={"model": "m", "seed": "<i>2</i>"},
        results={"copy_rate": rate(0.4, 0.3, 0.5), "scored": 5},
    )  # fmt: skip
    return one, two


def test_items_are_matched_by_id_and_changed_verdicts_are_listed(runs):
    built = build_against(runs[1], runs[0])
    assert built["num_shared"] == 3
    assert [(pair.before.id, pair.before.score) for pair in built["moved"]] == [("b", 2.0)]
    assert built["table"] == [("memorized", [1, 0]), ("not_memorized", [1, 1])]
    assert built["correlation"] == pytest.approx(1)
    assert built["sentence"] == (
        "1 of 1 rates differ by more than their intervals allow; 1 of 3 items of both runs have "
        "another verdict."
    )


def test_rates_differ_where_their_intervals_do_not_meet():
    before = {"a": rate(0.1, 0.0, 0.2), "b": {"c": rate(0.5, 0.4, 0.6)}, "n": 3, "same": 1}
    after = {"a": rate(0.2, 0.1, 0.3), "b": {"c": rate(0.9, 0.8, 1.0)}, "n": 4, "same": 1}
    found = {change.name: change.beyond for change in list_changes(before, after)}
    assert found == {"a": False, "b, c": True, "n": False}


def test_differences_of_records_name_both_sides():
    rows = list_differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}, "d": None})
    assert rows == [("b.c", "2", "3"), ("d", "", "\u2014")]


def test_the_page_escapes_and_stands_in_the_later_run(runs):
    page = render_against(runs[1].path, runs[0].path)
    assert page == runs[1].path / "against.html"
    text = page.read_text()
    assert "&lt;b&gt;b&lt;/b&gt;.png" in text
    assert "<b>b</b>" not in text
    assert "<i>2" not in text
    assert "<script" not in text


def test_runs_of_two_kinds_are_refused(runs, tmp_path):
    other = make_run(tmp_path / "three", ["a"], [1.0], [None], kind="sweep")
    with pytest.raises(RunError, match="only runs of one kind"):
        build_against(runs[0], other)
