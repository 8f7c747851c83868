"""Detection beyond noise prediction: a flow with planted copies, by the weights that are kept."""

import pytest
from flow_fashion import RECIPE, TWIN, open_model

from equipoise.bench.sweep import run_sweep


@pytest.mark.slow
def test_copies_of_a_flow_are_told_and_its_twin_knows_nothing_of_them(tmp_path):
    model, twin = open_model(RECIPE), open_model(TWIN).denoiser
    assert model.denoiser.prediction == "flow"
    run = run_sweep(model, twin, tmp_path / "run", seed=0, num_samples=1500)
    results = run.record.results
    assert results["auroc"]["low"] >= 0.9
    assert results["clean_twin_auroc"]["low"] <= 0.5 + 0.2
