import io

import pyarrow as pa
import pytest
from PIL import Image

from equipoise.report import render_report
from equipoise.report.rate import Rate
from equipoise.report.verification import Change, build_answer, build_verification
from equipoise.runs import finish_run, start_run, write_items

MODELS, GENERATIONS = ("before", "after"), ("same noise", "new noise")
SOURCES = ("a/<b>0</b>", "a/1", "a/2")


def draw(grey):
    buffer = io.BytesIO()
    Image.new("L", (16, 16), grey).save(buffer, "PNG")
    return buffer.getvalue()


def make_rate(hits, n):
    return {"value": hits / n, "low": 0.0, "high": 1.0, "n": n, "groups": n}


def make_run(path):
    """Three flagged outputs; the second is the most memorized before, and gone afterwards."""
    spec = {"audit": "runs/<i>a</i>", "model": "mended", "promised": 0.01}
    run = start_run(path, kind="verification", spec=spec, provenance={})
    rows = [
        {
            "id": f"{model}{generation}{source}", "source": source, "score": float(place % 2),
            "p_value": 0.5, "q_value": 0.5, "verdict": "not_memorized", "error": None,
            "model": model, "generation": generation, "label": "novel", "thumbnail": draw(9),
        }
        for model in MODELS
        for generation in GENERATIONS
        for place, source in enumerate(SOURCES)
    ]  # fmt: skip
    write_items(run, pa.Table.from_pylist(rows))
    rates = {
        f"{model}, {generation}": {"flagged": make_rate(hits, 30), "copies": make_rate(0, 30)}
        for model, hits in (("before", 12), ("after", 2))
        for generation in GENERATIONS
    }
    change = {"gone": 10, "left": 2, "new": 0, "p_value": 0.002}
    results = {"flagged": 3, "rates": rates, "changes": dict.fromkeys(GENERATIONS, change)}
    return finish_run(run, results=results, cost={"seconds": 1.0})


def make_change(before, after, p_value, n=30):
    rates = [Rate(hits / n, 0.0, 1.0, n, n) for hits in (before, after)]
    return Change("same noise", *rates, Rate(), Rate(), 0, 0, 0, p_value)


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (make_change(12, 2, 0.002), "Fewer:"),
        (make_change(2, 12, 0.002), "More:"),
        (make_change(12, 9, 0.3), "Not shown:"),
        (make_change(0, 0, 1.0), "No answer:"),
    ],
)
def test_a_fall_is_said_only_where_it_is_told_from_chance(change, start):
    assert build_answer(change).start == start


def test_the_answer_counts_outputs():
    rest = build_answer(make_change(12, 2, 0.002)).rest
    assert "2 of 30 flagged outputs come out memorized after the mitigation, 12 before" in rest


def test_each_flagged_output_stands_with_its_four_generations(tmp_path):
    found = build_verification(make_run(tmp_path / "run"))
    assert [trial.source for trial in found["trials"]] == ["a/1", "a/<b>0</b>", "a/2"]
    assert all(len(trial.exhibits) == 4 for trial in found["trials"])
    assert found["changes"][1].left == 2
    assert found["with_copies"]


def test_the_page_escapes_foreign_text_and_shows_pictures(tmp_path):
    page = render_report(make_run(tmp_path / "run").path).read_text()
    assert "<b>0</b>" not in page
    assert "<i>a</i>" not in page
    assert page.count('src="data:image/png') == 12
    assert "40 %" in page.replace("\u00a0", " ")
