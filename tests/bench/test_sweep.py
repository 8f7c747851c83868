import pytest

from equipoise.bench.parts import load_parts
from equipoise.bench.sweep import run_sweep
from equipoise.errors import CalibrationError


@pytest.mark.slow
def test_the_choice_holds_on_planted_images_it_was_not_made_on(tmp_path):
    parts = load_parts("zoo:edm-fashion")
    run = run_sweep(parts.model, parts.twin, tmp_path / "run", seed=5, num_samples=400)
    results = run.record.results
    assert results["auroc"]["value"] >= 0.95
    assert results["selection_auroc"] >= results["cells"][-1]["selection_auroc"]
    assert results["cells"][0]["selection_auroc"] == pytest.approx(results["selection_auroc"])
    residual = results["residual"]
    assert residual["auroc"]["value"] >= 0.9
    assert (residual["sign"], residual["auroc"]["n"]) == (-1, results["auroc"]["n"])
    twin = results["clean_twin_auroc"]
    assert twin["n"] == results["auroc"]["n"]
    assert twin["high"] < results["auroc"]["value"]
    assert run.read_items()["verdict"].null_count == len(run.read_items())


def test_too_few_outputs_are_refused(tmp_path):
    parts = load_parts("zoo:edm-fashion")
    with pytest.raises(CalibrationError, match="--num-samples"):
        run_sweep(parts.model, parts.twin, tmp_path / "run", seed=5, num_samples=4)
