"""The page of a comparison, from a record made by hand."""

from equipoise.report import render_report
from equipoise.report.bench import build_bench
from equipoise.runs import finish_run, start_run


def rate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "n": 40, "groups": 9}


def build_row(name, area, *, baseline=False, difference=None, model="zoo:one", reason=None):
    told = {"model": model, "detector": name, "baseline": baseline, "needs": [], "source": "S",
            "reason": reason}  # fmt: skip
    if reason:
        return told
    return told | {
        "sign": -1, "chosen": {"sigma": 0.25}, "auroc": rate(area, area - 0.1, area + 0.01),
        "tpr_at_1pct_fpr": rate(0.5, 0.3, 0.7), "fpr": rate(0.012), "evaluations": 4,
        "clean_twin_auroc": rate(0.5, 0.4, 0.6), "seconds_per_item": 0.002,
        "minus_residual": difference, "against": {"training": rate(0.9), "held_out": None},
        "by_kind": {"exact": rate(0.97)}, "by_multiplicity": {"45": rate(0.96)},
        "n": {"copies": 40, "planted_images": 9, "novel": 300, "calibration": 200},
        "roc": {"fpr": [0, 0.01, 0.1, 1], "tpr": [0.1, 0.5, 0.9, 1]},
    }  # fmt: skip


def build_run(path, rows):
    spec = {"models": ["zoo:one"], "seed": 0, "num_samples": 1000}
    run = start_run(path, kind="bench", spec=spec, provenance={})
    return finish_run(run, results={"rows": rows}, cost={"parts": {}, "seconds": 3.0})


ROWS = [
    build_row("denoising_residual", 0.95, baseline=True),
    build_row("spikiness", 0.98, difference=rate(0.03, 0.01, 0.05)),
    build_row("noise_gap", 0, reason="needs a <condition>"),
]


def test_detectors_stand_in_the_order_of_their_area(tmp_path):
    field = build_bench(build_run(tmp_path / "run", ROWS))["fields"][0]
    assert [entrant.name for entrant in field.entrants] == ["spikiness", "denoising_residual"]
    assert field.skipped == [("noise_gap", "needs a <condition>")]
    assert "beyond chance" in field.sentence
    assert field.entrants[0].note == "against its paper: copies score lower"


def test_the_page_tells_every_row_and_escapes_foreign_words(tmp_path):
    run = build_run(tmp_path / "run", ROWS)
    page = render_report(run.path).read_text()
    assert "0.980" in page or ".980" in page
    assert "needs a &lt;condition&gt;" in page
    assert page.count("<svg") >= 3
    assert render_report(run.path).read_text() == page


def test_the_sentence_says_when_a_difference_is_chance_or_a_loss(tmp_path):
    for place, (low, high, told) in enumerate(
        [(-0.01, 0.02, "within chance"), (-0.05, -0.01, "worse"), (None, None, "cannot be said")]
    ):
        rows = [ROWS[0], build_row("spikiness", 0.98, difference=rate(0.0, low, high))]
        field = build_bench(build_run(tmp_path / f"{place}", rows))["fields"][0]
        assert told in field.sentence


def test_a_record_without_rows_has_a_page(tmp_path):
    assert render_report(build_run(tmp_path / "run", []).path).is_file()


def test_trials_and_earlier_saves_are_told_apart_from_copies(tmp_path):
    trial = {"model": "zoo:one", "detector": "spikiness", "trial": "JPEG", "auroc": rate(0.7),
             "tpr_at_1pct_fpr": rate(0.3), "fpr": rate(0.25)}  # fmt: skip
    spec = {"models": ["zoo:one"], "seed": 0, "num_samples": 1000}
    run = start_run(tmp_path / "run", kind="bench", spec=spec, provenance={})
    rows = [*ROWS, build_row("spikiness", 0.6, model="zoo:one@20")]
    run = finish_run(run, results={"rows": rows, "trials": [trial]}, cost={"parts": {}})
    first, save = build_bench(run)["fields"]
    assert first.trials == ["JPEG"]
    assert first.attempts["spikiness"]["JPEG"].false.value == 0.25
    assert (first.is_save, save.is_save, save.attempts) == (False, True, {})
    page = render_report(run.path).read_text()
    assert (
        "30 % found, 25 % false" in page.replace("\u202f", " ").replace("\u00a0", " ")
        or "25" in page
    )
    assert "planted training images as they are" in page
