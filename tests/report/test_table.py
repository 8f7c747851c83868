import numpy as np

from equipoise.report.item import load_items
from equipoise.report.plot import Group
from equipoise.report.table import (
    flatten,
    get_floor,
    list_copied,
    list_parts,
    list_quantiles,
    list_rivals,
)


def test_baselines_stand_in_order_between_detector_and_oracle(small):
    names = [rival.name for rival in list_rivals(small.record.results)]
    assert names[0] == "This detector"
    assert names[3:5] == ["Denoising residual", "Distance to mean"]
    assert names[-2:] == ["Clean twin", "Oracle"]


def test_what_was_not_measured_has_no_row():
    assert list_rivals({"auroc": None, "baselines": {"pixel_variance": {"value": None}}}) == []
    assert get_floor([]) == 0.4


def test_the_scale_holds_every_interval(small):
    rivals = list_rivals(small.record.results)
    assert get_floor(rivals) <= min(rival.rate.low for rival in rivals)


def test_copied_images_count_their_flags(small):
    items = load_items(small)
    copied = list_copied(small.record.results, items)
    assert copied[0].count >= copied[-1].count
    for entry in copied:
        assert 0 <= entry.flagged <= entry.count
        assert items[entry.row].nearest == str(entry.index)
    assert list_copied({"most_copied": [{"index": None}, 3]}, items) == []


def test_quantiles_say_what_lies_above_the_threshold():
    rows = list_quantiles([Group("novel", "cool", np.arange(101.0))], 91.0)
    assert rows[0] | {"name": "", "tone": ""} == {
        "name": "", "tone": "", "n": 101, "low": 5.0, "middle": 50.0, "high": 95.0,
        "above": 10 / 101,
    }  # fmt: skip


def test_nested_records_become_rows():
    tree = {"a": {"b": [1, "x"], "c": None}, "d": True}
    assert flatten(tree) == [("a.b", "1, x"), ("a.c", "\u2014"), ("d", "True")]


def test_parts_keep_their_cost():
    parts = list_parts({"parts": {"twin_score": {"evaluations": 3, "seconds": None}}})
    assert parts == [{"name": "twin score", "evaluations": 3.0, "seconds": None}]
