import json
from dataclasses import replace

import pytest
import torch

from equipoise.bench.concept import Concept, ConceptSet
from equipoise.bench.instrument import NUM_FITTED
from equipoise.bench.response import (
    ResponseSpec,
    build_concept_vector,
    choose_spec,
    open_concepts,
    run_response,
)
from equipoise.report import render_report
from equipoise.steering import ConceptVector, VectorRecord
from equipoise.zoo.package import ZooModel, load_zoo
from equipoise.zoo.planting import build_training_set
from equipoise.zoo.recipe import DIT, EDM, SD


def test_a_family_is_measured_in_its_own_way_and_words_win():
    assert "noun cat" in choose_spec(SD).concepts
    assert choose_spec(DIT).window_shares != choose_spec(EDM).window_shares
    assert choose_spec(EDM, seed=3) == ResponseSpec(seed=3)
    assert choose_spec(SD, concepts=("noun dog",)).concepts == ("noun dog",)


RECORD = VectorRecord(
    model="m", fingerprint="f", kind="pooled", sigmas=(1.0,), rms={"a:out": (1.0,)}
)


class Numbered(ConceptSet):
    """Picture k is filled with k, and its caption says so."""

    concepts = (Concept("large", "size", "large"),)

    def draw_references(self, concept, *, count, seed):
        pictures = torch.arange(2 * count, dtype=torch.uint8)[:, None, None, None]
        return pictures[:count], pictures[count:]

    def caption_references(self, concept, *, count, seed):
        names = [str(k) for k in range(2 * count)]
        return names[:count], names[count:]


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "dealt by chance"])
@pytest.mark.parametrize("captioned", [False, True], ids=["without captions", "with captions"])
def test_a_caption_stays_with_its_picture(tiny_edm, monkeypatch, shuffled, captioned):
    given = {}

    def record(_, *sides, prompts, **words):
        given.update(sides=[(255 * side).round().int().flatten().tolist() for side in sides])
        given.update(prompts=prompts)
        return ConceptVector(RECORD, {"a:out": torch.ones(1, 1)}, {"a:out": torch.ones(1, 1)})

    monkeypatch.setattr("equipoise.bench.response.build_vector", record)
    pixels = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    training = build_training_set(pixels, torch.zeros(1, dtype=torch.long), ())
    model = ZooModel(tiny_edm, EDM, {}, training, pixels)
    spec = ResponseSpec(references=6, captioned=captioned)
    known = Numbered()
    build_concept_vector(model, known, known.concepts[0], spec, shuffled=shuffled)
    one, two = given["sides"]
    assert sorted(one + two) == list(range(12))
    assert (one == list(range(6))) is not shuffled
    expected = tuple([str(k) for k in side] for side in (one, two))
    assert given["prompts"] == (expected if captioned else (None, None))


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
