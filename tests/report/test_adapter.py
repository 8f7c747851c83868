import pyarrow as pa

from equipoise.report import render_report
from equipoise.report.adapter import build_adapter, build_sentence
from equipoise.runs import finish_run, start_run, write_items

COLUMNS = ("id", "source", "split", "score", "p_value", "q_value", "verdict", "error", "named")
ROWS = [
    ("a", "train/<b>a</b>.png", "training", 3.0, 0.01, 0.05, None, None, True),
    ("b", "train/b.png", "training", 9.0, 0.01, 0.05, None, None, True),
    ("c", "train/c.png", "training", 5.0, 0.01, 0.05, None, None, False),
    ("d", "held/d.png", "held-out", 7.0, None, None, None, None, None),
    ("e", "train/e.png", "training", None, None, None, None, "damaged", None),
]


def make_run(path):
    run = start_run(path, kind="adapter", spec={"adapter": "<i>lora</i>"}, provenance={})
    write_items(run, pa.table(dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True))))
    scales = [{"scale": 0.5, "named": 0}, {"scale": 1.0, "named": 2}]
    results = {
        "fdr": 0.1, "least_gain": 0.2, "learned": 3, "recommended_scale": 0.5, "scales": scales,
        "untold": True,
    }  # fmt: skip
    return finish_run(run, results=results, cost={"seconds": 1.0})


def test_named_images_are_shown_largest_difference_first(tmp_path):
    found = build_adapter(make_run(tmp_path / "run"))
    assert [exhibit.item.id for exhibit in found["exhibits"]] == ["b", "a"]
    assert (found["num_named"], found["num_training"], found["num_held_out"]) == (2, 3, 1)
    assert (found["num_failed"], found["recommended"]) == (1, 0.5)


def test_the_page_escapes_foreign_text_and_lists_what_was_not_read(tmp_path):
    page = render_report(make_run(tmp_path / "run").path).read_text()
    assert "2 of 3 training images are named" in page
    assert "3 were learned more than held-out images explain" in page
    assert "No captions were found" in page
    assert "<b>a</b>" not in page
    assert "<i>lora</i>" not in page
    assert "damaged" in page


def test_the_sentence_counts_and_says_what_a_name_means():
    assert build_sentence(0, 40, 0.2) == "None of 40 training images are named."
    assert build_sentence(1, 40, 0.2) == (
        "1 of 40 training images is named: learned more than held-out images explain, and at "
        "least 20\N{NO-BREAK SPACE}% of the error on each is gone."
    )
    assert build_sentence(3, 40, 0.0).endswith("explain.")
