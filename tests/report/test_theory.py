import numpy as np
import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.report.theory import build_theory
from equipoise.runs import finish_run, start_run, write_tensors

pytestmark = pytest.mark.slow  # drawing pages takes seconds

SIGMAS = (0.2, 1.0)
RATE = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 12, "groups": 4}


def make_network(regime, sigma, stored):
    return {
        "regime": regime, "sigma": sigma, "n": 5, "units": 6, "stored_images": stored,
        "stored_columns": None if stored is None else 0.5, "stored_units": 1.0,
        "held_out_units": 3.0, "training_units": 2.0, "ratios": None,
    }  # fmt: skip


def make_run(path, *, left_out=None):
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    run = start_run(
        path, kind="theory", spec={"source": "<b>x</b>", "images": 9, "side": 3, "seed": 1},
        provenance={"model": "f"},
    )  # fmt: skip
    regimes = {"memorizing": 5, "generalizing": None, "hybrid": 4, "crowded": 0}
    networks = [make_network(name, s, stored) for name, stored in regimes.items() for s in SIGMAS]
    tensors = {
        "columns": {f"{name}-{s:g}": draw(4, 9) for name in regimes for s in SIGMAS}
        | {"memorizing-stored": draw(5, 9)},
        "boundary": {},
        "optimizers": {},
        "spread": {
            f"{kind}{side}-{s:g}": draw(12) ** 2
            for kind in ("", "profile-") for side in ("memorized", "others") for s in SIGMAS
        } | {"picture-memorized": draw(9), "picture-others": draw(9)},
        "sampling": {
            f"{name}-{what}": draw(3, 9)
            for name in ("memorizing", "generalizing") for what in ("samples", "nearest")
        },
        "spectrum": {
            f"{i}-{what}": draw(2, size) ** 2
            for i in range(2) for what, size in (("samples", 9), ("vectors", 9), ("values", 4))
        },
    }  # fmt: skip
    for name, arrays in tensors.items():
        if name != left_out:
            write_tensors(run, name, arrays)
    numbers = {
        "samples": 3, "levels": 12, "on_a_ray": 0.25,
        "sine": {"median": 0.4}, "held_out_sine": {"median": 0.5},
    }  # fmt: skip
    results = {
        "columns": {"networks": networks},
        "boundary": {"points": [{"beta": -0.1, "ratio": 1.0}, {"beta": 0.5, "ratio": 0.6}]},
        "optimizers": {"rows": [{"optimizer": "adam", "rate": 0.01, "units": 1.0, "ratio": 1.0}]},
        "spread": {"rows": [{"sigma": s, "std": RATE, "std_over_norm": RATE} for s in SIGMAS]},
        "sampling": {"memorizing": numbers, "generalizing": numbers},
        "spectrum": {
            "rows": [
                {"model": "zoo:<i>", "side": side, "sigma": 0.4,
                 "cosines": [0.9, 0.8], "effective_ranks": [1.0, 2.0]}
                for side in ("memorized", "new")
            ]
        },
    }  # fmt: skip
    return finish_run(run, results=results, cost={"seconds": 12.0})


def test_the_sentence_counts_what_was_stored(tmp_path):
    sentence = build_theory(make_run(tmp_path / "run"))["sentence"]
    assert "keeps 5 of them" in sentence
    assert "keeps 4 of the five" in sentence
    assert "many neighbours it keeps 0" in sentence


def test_the_page_shows_every_figure_and_escapes_foreign_text(tmp_path):
    page = render_report(make_run(tmp_path / "run").path).read_text()
    for title in ("Columns of W1", "Where the theorem stops", "Spiky and balanced", "Sampling",
                  "The Jacobian"):  # fmt: skip
        assert title in page
    assert page.count("<svg") > 6
    assert "<b>x" not in page
    assert "zoo:<i>" not in page
    assert "<script" not in page


def test_identifiers_of_the_plots_are_unique(tmp_path):
    import re

    page = render_report(make_run(tmp_path / "run").path).read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_rendering_twice_is_the_same(tmp_path):
    run = make_run(tmp_path / "run")
    assert render_report(run.path).read_bytes() == render_report(run.path).read_bytes()


def test_missing_arrays_are_told(tmp_path):
    with pytest.raises(RunError, match=r"sampling\.safetensors"):
        build_theory(make_run(tmp_path / "run", left_out="sampling"))
