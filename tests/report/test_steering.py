import numpy as np
import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.report.steering import build_steering
from equipoise.runs import finish_run, start_run, write_tensors

GRID = [0.0, 0.5, 1.0]


def make_rate(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 4, "groups": 4}


EDITING = {
    "n": 5, "strengths": [0.0, 1.0], "inversion_error": make_rate(0.123),
    "concepts": [{
        "name": "bag", "gain": make_rate(0.4) | {"strength": 1.0}, "kept_curve": [1.0, 0.75],
        "drift": {"value": 0.31, "pixel_mean": None},
    }],
}  # fmt: skip


def make_run(path, *, groups=None):
    run = start_run(
        path, kind="steering", spec={"model": "zoo:<b>x</b>", "seed": 1, "num_seeds": 2,
                                     "strengths": GRID[1:]},
        provenance={"fingerprint": "f"},
    )  # fmt: skip
    pictures = np.arange(3 * 2 * 64, dtype=np.uint8).reshape(3, 2, 1, 8, 8)
    write_tensors(run, "strips", {
        name: pictures for name in ("bag", "memorized", "generalized", "edit bag")
    })  # fmt: skip
    concept = {
        "name": "bag", "best": {"p": 0.8, "strength": 1.0}, "pixel_mean": {"p": 0.5},
        "spearman": make_rate(0.9), "gain": make_rate(0.7),
        "gain_over_random": {"value": 187.3, "low": 177.2, "high": 196.9},
        "drift": {"value": 0.4, "pixel_mean": None}, "usable_range": [0.0, 0.5],
        "strengths": GRID, "curve": [make_rate(value) for value in (0.1, 0.4, 0.8)],
    }  # fmt: skip
    sides = {f"{name}_{side}": make_rate(0.2) for name in ("slope", "gain", "abruptness")
             for side in ("memorized", "generalized", "difference")}  # fmt: skip
    curve = [make_rate(value) for value in (0.1, 0.2, 0.3)]
    filled = {
        "n": 64, "groups": 20, "strengths": GRID, "still_copies": [1.0, 0.5, 0.25],
        "curves": {"memorized": curve, "generalized": curve},
    }  # fmt: skip
    results = {
        "concepts": [concept], "reached": ["bag"], "reached_at": 0.7, "verdict": "They resist.",
        "instrument": {
            "name": "a judge", "accuracy": make_rate(0.87), "noise": {"bag": 0.8, "coat": 0.2},
        },
        "memorized_vs_generalized": sides | filled if groups is None else groups,
        "editing": EDITING,
    }  # fmt: skip
    return finish_run(run, results=results, cost={"seconds": 1.0})


def test_the_page_shows_strips_by_seed_and_says_what_came_out(tmp_path):
    run = make_run(tmp_path / "run")
    shown = build_steering(run)
    assert len(shown["concepts"][0].strip) == 2  # rows are seeds
    assert len(shown["concepts"][0].strip[0]) == 3
    assert shown["better"] == shown["reached"] == 1
    assert (shown["concepts"][0].best.value, shown["concepts"][0].best.low) == (0.8, 0.8 - 0.1)
    page = render_report(run.path).read_text()
    assert "They resist." in page
    assert "error of 0.123" in page
    assert "edited to bag, row 2, column 3" in page
    assert "187 <small>177 to 197</small>" in page
    assert "it says bag" in page
    assert "zoo:&lt;b&gt;" in page
    assert page.count("<svg") >= 3
    assert render_report(run.path).read_text() == page


def test_a_run_without_pairs_has_a_page_too(tmp_path):
    run = make_run(tmp_path / "run", groups={})
    assert build_steering(run)["side_plot"] == ""
    assert "forest" not in render_report(run.path).read_text().split("</style>")[1]


def test_missing_pictures_are_told(tmp_path):
    run = make_run(tmp_path / "run")
    (run.path / "tensors" / "strips.safetensors").unlink()
    with pytest.raises(RunError, match=r"strips\.safetensors"):
        render_report(run.path)
