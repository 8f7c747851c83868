import json

import numpy as np
import pytest
import torch

from equipoise.bench.instrument import NUM_FITTED
from equipoise.bench.response import (
    ResponseSpec,
    build_class_vector,
    describe_verdict,
    measure_diversity,
    measure_drift,
    run_response,
)
from equipoise.report import render_report
from equipoise.zoo.package import load_zoo


def test_drift_and_diversity_are_distances_in_units_of_two_outputs():
    generator = torch.Generator().manual_seed(0)
    plain = torch.randint(0, 200, (5, 1, 4, 4), generator=generator, dtype=torch.uint8)
    drawn = torch.stack([plain, plain + 30, plain[:1].expand(5, -1, -1, -1)])
    flat = plain.flatten(1).double().numpy()
    pairs = [np.sqrt(((flat[i] - flat[j]) ** 2).mean()) for i in range(5) for j in range(i)]
    assert measure_drift(drawn)[:2] == pytest.approx([0, 30 / np.mean(pairs)])
    assert measure_diversity(drawn) == pytest.approx([1, 1, 0])


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-0.5, -0.1, "Memorized outputs resist"),
        (0.1, 0.5, "do not resist"),
        (-0.1, 0.2, "No difference"),
        (None, None, "Too few copies"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, told):
    middle = None if low is None else (low + high) / 2
    slope = {"value": middle, "low": low, "high": high}
    quiet = {"value": None, "low": None, "high": None}
    said = describe_verdict({"slope_difference": slope, "abruptness_difference": quiet})
    assert told in said
    assert "abruptly" not in said
    loud = {"value": 0.4, "low": 0.2, "high": 0.6}
    said = describe_verdict({"slope_difference": slope, "abruptness_difference": loud})
    assert ("abruptly: +0.40" in said) == (low is not None)


@pytest.mark.slow
def test_a_small_response_is_measured_and_has_a_page(tmp_path):
    spec = ResponseSpec(
        concepts=(5, 8), references=12, strengths=(0.5, 1.0), num_seeds=4, num_random=2,
        seeds_per_random=2, num_screened=60, sampler_steps=3, num_pairs=4, pair_strengths=(0.5,),
    )  # fmt: skip
    model = load_zoo("dit-fashion")
    run = run_response(model, tmp_path / "run", spec=spec)
    results = run.record.results
    assert [concept["name"] for concept in results["concepts"]] == ["sandal", "bag"]
    for concept in results["concepts"]:
        assert len(concept["curve"]) == 3
        assert concept["drift_curve"][0] == 0
        assert concept["best"]["p"] >= concept["curve"][0]["value"]
        assert 0 <= concept["usable_range"][1] <= 1
    assert results["memorized_vs_generalized"]["n"] <= 4
    json.dumps(results, allow_nan=False)
    assert run.read_tensors("strips")["bag"].shape == (3, 4, 1, 16, 16)
    page = render_report(run.path).read_text()
    assert results["verdict"] in page
    assert page.count("data:image/png") >= 2 * 3 * 4


@pytest.mark.slow
def test_references_are_not_what_the_instrument_was_fitted_on():
    model = load_zoo("dit-fashion")
    spec = ResponseSpec(references=5)
    vector = build_class_vector(model, 8, spec)
    changed = model.training_set.images.clone()
    changed[:NUM_FITTED] = 0
    from dataclasses import replace

    other = replace(model, training_set=replace(model.training_set, images=changed))
    same = build_class_vector(other, 8, spec)
    assert all(torch.equal(vector.tensors[s], same.tensors[s]) for s in vector.sites)
    null = build_class_vector(model, 8, spec, shuffled=True)
    assert not any(torch.equal(vector.tensors[s], null.tensors[s]) for s in vector.sites)
