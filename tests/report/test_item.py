import math

from equipoise.report.item import list_scores, load_items


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
