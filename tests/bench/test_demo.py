"""The main job on the shipped model, small. The floors are on planted truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equipoise.bench.baselines import score_pictures
from equipoise.bench.demo import run_demo
from equipoise.bench.interval import auroc
from equipoise.bench.outputs import generate_outputs
from equipoise.bench.parts import load_parts
from equipoise.errors import CalibrationError, RunError
from equipoise.images import as_unit
from equipoise.report import render_report
from equipoise.runs import load_run
from equipoise.zoo.network import build_denoiser
from equipoise.zoo.package import load_zoo

NUM_SAMPLES = 500
RATE_KEYS = {"value", "low", "high", "n", "groups"}


@pytest.fixture(scope="module")
def parts():
    return load_parts("zoo:edm-fashion")


@pytest.fixture(scope="module")
def run(parts, tmp_path_factory):
    return run_demo(
        parts, tmp_path_factory.mktemp("demo") / "run", seed=77, num_samples=NUM_SAMPLES
    )


@pytest.mark.slow
def test_copies_are_found_at_the_calibrated_threshold(run):
    results = run.record.results
    assert results["auroc"]["value"] >= 0.97
    # The goal is .85; the shipped model reaches .60 to .72 over five seeds (docs/figures.md).
    assert results["tpr_at_1pct_fpr"]["value"] >= 0.55
    assert results["fpr"]["kept"]
    assert results["fpr"]["n_calibration"] >= 4000
    assert results["planted_minus_twin"]["low"] > 0.2


@pytest.mark.slow
def test_every_figure_has_its_interval(run):
    results = run.record.results
    rates = [results[k] for k in ("auroc", "tpr_at_1pct_fpr", "clean_twin_auroc", "oracle")]
    rates += [results["planted_minus_twin"], results["paper_statistic"]]
    for rate in [*rates, *results["baselines"].values()]:
        assert set(rate) == RATE_KEYS
        assert rate["low"] <= rate["value"] <= rate["high"]
    assert set(results["fpr"]) >= RATE_KEYS | {"promised", "n_calibration", "interval_kind"}


@pytest.mark.slow
def test_items_and_results_tell_the_same_story(run):
    table = load_run(run.path).read_items()
    labels = np.array(table["label"].to_pylist())
    scores = table["score"].to_numpy()
    split = np.array([s or "" for s in table["split"].to_pylist()])
    positive = (labels == "copy") & (split == "report")
    assert len(table) == NUM_SAMPLES
    assert run.record.results["auroc"]["value"] == pytest.approx(
        auroc(scores[positive], scores[labels == "novel"])
    )
    flagged = np.array(table["verdict"].to_pylist()) == "memorized"
    promised = run.record.results["fpr"]["promised"]
    assert (flagged == (table["p_value"].to_numpy() <= promised)).all()
    assert all(source.startswith("demo/77/") for source in table["source"].to_pylist())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(run, parts, tmp_path):
    again = run_demo(parts, tmp_path / "again", seed=77, num_samples=128)
    other = run_demo(parts, tmp_path / "other", seed=78, num_samples=128)
    first = run.read_items().slice(0, 128)
    assert again.read_items()["id"] == first["id"]
    np.testing.assert_allclose(
        again.read_items()["score"].to_numpy(), first["score"].to_numpy(), rtol=2e-6
    )
    assert not set(other.read_items()["id"].to_pylist()) & set(first["id"].to_pylist())


def reinitialise(parts, seed):
    """The recipe's network before any training; blocks that start as their skip are stirred."""
    model = parts.model
    fresh = build_denoiser(model.recipe.model_copy(update={"seed": seed}), model.denoiser.data_std)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in fresh.network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return fresh


@pytest.mark.slow
def test_re_initialised_weights_tell_copies_by_chance(run, parts):
    """The same pictures, the same detector, networks that were never trained."""
    table = run.read_items()
    labels = np.array(table["label"].to_pylist())
    pictures = as_unit(torch.from_numpy(run.read_tensors("images")["samples"]))
    areas = []
    for seed in (5, 6, 7):
        fresh = reinitialise(parts, seed)
        scores = parts.calibration.detector.score(fresh, pictures, table["id"].to_pylist())
        values = scores.values.numpy()
        areas.append(auroc(values[labels == "copy"], values[labels == "novel"]))
    assert 0.35 < np.mean(areas) < 0.65


@pytest.mark.slow
def test_re_initialised_weights_make_no_copy_and_are_refused(parts):
    fresh = reinitialise(parts, 5)
    outputs = generate_outputs(replace(parts.model, denoiser=fresh), 64, seed=1, stream="demo")
    assert (outputs.labels != "copy").all()
    with pytest.raises(CalibrationError, match="belongs to the model"):
        parts.calibration.check_model(fresh)


@pytest.mark.slow
def test_the_report_is_written_from_the_folder_alone(run):
    page = render_report(run.path).read_text()
    assert "<script" not in page
    assert "up_blocks" in page


@pytest.mark.slow
def test_the_text_to_image_demo_tells_the_prompts_and_shows_what_that_is_worth(tmp_path):
    parts = load_parts("zoo:sd-emoji")
    run = run_demo(parts, tmp_path / "run", seed=77, num_samples=300)
    results = run.record.results
    assert run.record.spec["detector"]["condition"] == "own"
    # .981 to .988 over 1,340 outputs, told nothing .911 to .935 (docs/figures-sd.md).
    assert results["auroc"]["value"] >= 0.95
    assert results["told_nothing"]["value"] < results["auroc"]["value"]
    assert set(results["tpr_at_same_fpr"]) >= {"spikiness", "told_nothing"}
    page = render_report(run.path).read_text()
    assert "the model is told what each image was asked for" in page
    assert "Told nothing" in page


def test_a_calibration_of_another_model_is_refused_before_anything_is_sampled(parts, tmp_path):
    swapped = replace(parts, model=load_zoo(parts.twin_name))
    with pytest.raises(CalibrationError, match=parts.calibration.fingerprint):
        run_demo(swapped, tmp_path / "run", seed=0, num_samples=4)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_never_overwritten(parts, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="exists already"):
        run_demo(parts, tmp_path, seed=0, num_samples=4)


def test_the_rivals_know_every_picture_baseline(parts):
    pictures = parts.model.training_set.images[:3]
    assert set(score_pictures(pictures)) == set(parts.rivals.picture_signs)


@pytest.mark.slow
def test_dear_rivals_see_all_copies_and_the_first_novel_outputs(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(type(parts.model.recipe), "demo_negatives", property(lambda _: 30))
    run = run_demo(parts, tmp_path / "run", seed=78, num_samples=150)
    results, items = run.record.results, load_run(run.path).read_items()
    copies = results["labels"]["copy_of_report_images"]
    assert copies > 0
    assert results["auroc"]["n"] == copies + results["labels"]["novel"]
    for rival in ("clean_twin_auroc", "paper_statistic", "planted_minus_twin"):
        assert results[rival]["n"] == copies + 30
    seen = items["twin_score"].is_valid().to_numpy()
    novel = np.array(items["label"].to_pylist()) == "novel"
    assert seen.sum() == copies + 30
    assert np.flatnonzero(seen[novel]).tolist() == list(range(30))
    render_report(run.path)
