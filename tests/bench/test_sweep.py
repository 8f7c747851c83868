import pytest

from equipoise.bench.parts import load_parts
from equipoise.bench.sweep import run_sweep
from equipoise.errors import CalibrationError


@pytest.mark.slow
def test_the_choice_holds_on_planted_images_it_was_not_made_on(tmp_path):
    model = load_parts("zoo:edm-fashion").model
    run = run_sweep(model, tmp_path / "run", seed=5, num_samples=400)
    results = run.record.results
    assert results["auroc"]["value"] >= 0.95
    assert results["selection_auroc"] >= results["cells"][-1]["selection_auroc"]
    assert results["cells"][0]["selection_auroc"] == pytest.approx(results["selection_auroc"])
    assert run.read_items()["verdict"].null_count == len(run.read_items())


def test_too_few_outputs_are_refused(tmp_path):
    model = load_parts("zoo:edm-fashion").model
    with pytest.raises(CalibrationError, match="--num-samples"):
        run_sweep(model, tmp_path / "run", seed=5, num_samples=4)
