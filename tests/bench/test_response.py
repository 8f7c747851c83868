import json
from dataclasses import replace

import pytest
import torch

from equipoise.bench.instrument import NUM_FITTED
from equipoise.bench.response import (
    ResponseSpec,
    build_concept_vector,
    choose_spec,
    open_concepts,
    run_response,
)
from equipoise.report import render_report
from equipoise.zoo.package import load_zoo
from equipoise.zoo.recipe import DIT, EDM, SD


def test_a_family_is_measured_in_its_own_way_and_words_win():
    assert "noun cat" in choose_spec(SD).concepts
    assert choose_spec(DIT).window_shares != choose_spec(EDM).window_shares
    assert choose_spec(EDM, seed=3) == ResponseSpec(seed=3)
    assert choose_spec(SD, concepts=("noun dog",)).concepts == ("noun dog",)


@pytest.mark.slow
def test_a_small_response_is_measured_and_has_a_page(tmp_path):
    spec = ResponseSpec(
        concepts=("sandal", "bag"), references=12, strengths=(0.5, 1.0), num_seeds=4, num_random=2,
        seeds_per_random=2, num_screened=60, sampler_steps=5, num_pairs=4, pair_strengths=(0.5,),
        num_edited=3, edit_strengths=(1.0,),
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
        assert concept["prompt_edit"]["drift"] > 0
    assert results["memorized_vs_generalized"]["n"] <= 4
    assert results["editing"]["n"] == 3
    assert results["editing"]["inversion_error"]["value"] < 0.2
    json.dumps(results, allow_nan=False)
    assert run.read_tensors("strips")["bag"].shape == (3, 4, 1, 16, 16)
    page = render_report(run.path).read_text()
    assert results["verdict"] in page
    assert page.count("data:image/png") >= 2 * 3 * 4 + 2 * 3 * 3


@pytest.mark.slow
def test_references_are_not_what_the_instrument_was_fitted_on():
    model, spec = load_zoo("dit-fashion"), ResponseSpec(references=5, concepts=("bag",))
    changed = model.training_set.images.clone()
    changed[:NUM_FITTED] = 0
    other = replace(model, training_set=replace(model.training_set, images=changed))
    known = open_concepts(model, spec.concepts)
    [bag] = known.concepts
    vector = build_concept_vector(model, known, bag, spec)
    same = build_concept_vector(other, open_concepts(other, spec.concepts), bag, spec)
    assert all(torch.equal(vector.tensors[s], same.tensors[s]) for s in vector.sites)
    null = build_concept_vector(model, known, bag, spec, shuffled=True)
    assert not any(torch.equal(vector.tensors[s], null.tensors[s]) for s in vector.sites)
