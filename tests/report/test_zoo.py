import numpy as np
import pyarrow as pa
import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.report.zoo import build_zoo
from equipoise.runs import finish_run, start_run, write_items, write_tensors

LABELS = ["copy", "novel", "grey", "novel"]


def make_rate(value):
    return {"value": value, "low": value / 2, "high": min(1, 2 * value), "n": 4, "groups": 4}


def make_run(path, **changes):
    run = start_run(
        path,
        kind="zoo",
        spec={"model": "zoo:<b>x</b>", "seed": 1},
        provenance={"fingerprint": "f"},
    )
    pictures = np.arange(4 * 64, dtype=np.uint8).reshape(4, 1, 8, 8)
    tensors = {"samples": pictures, "planted": pictures[:2], "closest": pictures[2:]}
    write_tensors(run, "images", tensors | changes.pop("tensors", {}))
    nothing = {name: [None] * 4 for name in ("score", "p_value", "q_value", "verdict", "error")}
    rows = {"id": list("abcd"), "source": list("abcd"), **nothing, "label": LABELS}
    write_items(run, pa.table(rows))
    looks = [
        {"step": s, "n": 10, "copy": c, "grey": 0, "novel": 10 - c} for s, c in ((5, 0), (9, 4))
    ]
    results = {
        "labels": {"copy": 1, "grey": 1, "novel": 2},
        "copies": make_rate(0.25),
        "copies_below_half": make_rate(0.5),
        "copies_not_planted": make_rate(0.0),
        "images_copied": 1,
        "planted": [
            {"index": 7, "kind": "near", "multiplicity": 90, "count": 0, "ratio": 0.8},
            {"index": 3, "kind": "exact", "multiplicity": 45, "count": 1, "ratio": 0.1},
        ],
        "control": {"planted": make_rate(0.9), "not_planted": make_rate(0.5)},
        "training": {
            "seconds": 600, "saves": {"before": 5, "at": 9},
            "loss_curve": [[100, 0.5], [200, 0.2]], "looks": looks,
            "twin_loss_curve": [[100, 0.6], [200, 0.4]], "twin_looks": [],
        },
        "card": {"family": "EDM"},
    }  # fmt: skip
    return finish_run(run, results=results | changes, cost={"seconds": 1.0})


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_the_sentence_counts_new_outputs_copies_and_images(run):
    assert build_zoo(run)["sentence"] == (
        "Of 4 fresh outputs, 2 are new and 1 is a copy (25\u00a0%, 12.5\u201350\u00a0%), of 1 of "
        "the 2 planted images."
    )


def test_planted_images_are_listed_most_copied_first_each_with_its_own_pictures(run):
    first, second = build_zoo(run)["planted"]
    assert (first.index, first.count, second.index) == (3, 1, 7)
    pictures = {first.image, first.closest, second.image, second.closest}
    assert len(pictures) == 4


def test_the_page_shows_the_looks_and_escapes_foreign_text(run):
    page = render_report(run.path).read_text()
    assert "zoo:&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    assert "0\u00a0% at step 5, 40\u00a0% at step 9." in page
    assert page.count('alt="output, copy"') == 1
    assert "The same planted images" not in page  # no twin was measured
    assert page == render_report(run.path).read_text()


def test_a_model_without_planting_or_control_has_a_page_too(tmp_path):
    run = make_run(
        tmp_path / "run", planted=[], control=None, training={},
        tensors={name: np.zeros((0, 1, 8, 8), np.uint8) for name in ("planted", "closest")},
    )  # fmt: skip
    page = render_report(run.path).read_text()
    assert "nothing was planted" in page
    assert "How the training got there" not in page


def test_what_outputs_were_asked_for_is_compared_with_what_they_show(tmp_path):
    obedience = {
        "unseen": {"noun": make_rate(0.5)}, "seen": {"noun": make_rate(0.75)},
        "instrument": {"noun": make_rate(1.0)},
        "nuisances": {"copies": make_rate(0.25), "by_both_rules": make_rate(0.2)},
        "own_scene": {"copy": make_rate(0.0), "novel": make_rate(0.9)},
    }  # fmt: skip
    run = make_run(
        tmp_path / "run", obedience=obedience, control={"planted_against_again": make_rate(0.8)}
    )
    page = render_report(run.path).read_text()
    row = page[page.index('<th scope="row">noun</th>') :]
    places = [row.index(f">{share}\u00a0%<") for share in (50, 75, 100)]
    assert places == sorted(places)
    assert "what is left when content is taken away" in page
    assert (
        "Does it do what it is asked?"
        not in render_report(make_run(tmp_path / "b").path).read_text()
    )


def test_missing_pictures_are_told(tmp_path):
    run = make_run(tmp_path / "run")
    (run.path / "tensors" / "images.safetensors").unlink()
    with pytest.raises(RunError, match="repeat the run"):
        render_report(run.path)
