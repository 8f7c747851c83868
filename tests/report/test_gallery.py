import numpy as np
import pytest

from equipoise.errors import RunError
from equipoise.report import gallery
from equipoise.report.item import load_items


def test_a_spread_holds_both_ends(small):
    items = load_items(small)
    chosen = gallery.spread(items, 5)
    assert [item.row for item in chosen] == [0, 20, 40, 59, 79]
    assert gallery.spread(items[:2], 5) == items[:2]
    assert gallery.spread([], 5) == []


def test_flagged_outputs_are_shown_once(small):
    items = load_items(small)
    shown = gallery.build_gallery(items, gallery.load_album(small, rows=80))
    rows = [pair.item.row for pair in shown["flagged"] + shown["rest"]]
    assert sorted(rows) == [item.row for item in items if item.flagged]
    assert shown["left_out"] == 0
    nearest = [pair.item.nearest for pair in shown["opening"]]
    assert len(set(nearest)) == len(nearest)


def test_mistakes_are_shown(small):
    items = load_items(small)
    shown = gallery.build_gallery(items, gallery.load_album(small, rows=80))
    missed = [item for item in items if item.label == "copy" and not item.flagged]
    wrong = [item for item in items if item.label == "novel" and item.flagged]
    assert (shown["num_missed"], shown["num_wrong"]) == (len(missed), len(wrong))
    assert len(shown["missed"]) == min(len(missed), gallery.STRIP)


def test_a_spent_budget_is_counted(fake, tmp_path, monkeypatch):
    columns = {"verdict": ["memorized"] * 80}
    run = fake.make_run(tmp_path / "run", columns=columns, num_items=80)
    monkeypatch.setattr(gallery, "BUDGET", 2000)
    shown = gallery.build_gallery(load_items(run), gallery.load_album(run, rows=80))
    assert shown["left_out"] > 0
    assert len(shown["flagged"]) + len(shown["rest"]) + shown["left_out"] == 80


def test_pictures_must_match_the_items(small):
    with pytest.raises(RunError, match="79 items but 80 pictures"):
        gallery.load_album(small, rows=79)


def test_missing_scores_rank_last(small):
    ranked = gallery.rank(load_items(small))
    scores = [item.score for item in ranked]
    assert np.all(np.diff(scores) <= 0)
