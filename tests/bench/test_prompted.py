"""Two lists of prompts on a tiny pipeline with random weights: how they are dealt, what warns."""

import numpy as np
import pytest

from equipoise.bench.comparison import run_prompted_bench
from equipoise.bench.prompted import Claim, build_prompted_stage, list_warnings
from equipoise.denoisers import build_stable_diffusion
from equipoise.errors import BadInputError, CalibrationError
from equipoise.report import render_report
from equipoise.sampling import SamplerSpec

SAMPLER = SamplerSpec(steps=2, sigma_min=0.1, sigma_max=10.0, guidance=2.0)
MEMORIZED = tuple(f"A Cat Number {k}" for k in range(4))
OTHERS = tuple(f"a dog {k}" for k in range(250))


@pytest.fixture(scope="module")
def denoiser(pipeline):
    return build_stable_diffusion(pipeline)


def test_lists_that_cannot_be_dealt_out_are_refused(denoiser):
    with pytest.raises(BadInputError, match="in both lists"):
        build_prompted_stage(Claim("m", denoiser, SAMPLER, ("a", "b"), ("b",)), seed=0)
    with pytest.raises(CalibrationError, match="Give more prompts"):
        build_prompted_stage(Claim("m", denoiser, SAMPLER, MEMORIZED, ("b",)), seed=0)


@pytest.mark.slow
def test_every_prompt_is_dealt_to_one_split_and_capitals_are_warned_of(denoiser, tmp_path):
    claim = Claim("mine", denoiser, SAMPLER, MEMORIZED, OTHERS)
    stage = build_prompted_stage(claim, seed=3)
    parts = (stage.choose, stage.calibrate, stage.report)
    dealt = [prompt for part in parts for prompt in part.prompts]
    assert sorted(dealt) == sorted([*MEMORIZED, *OTHERS])
    for part in parts:
        assert [p in MEMORIZED for p in part.prompts] == list(part.planted >= 0)
    assert len(np.unique(stage.report.planted)) == 2 + 1
    run = run_prompted_bench(
        claim, tmp_path / "run", seed=3, detectors=["capitalised_share", "noise_gap"]
    )
    rows = {row["detector"]: row for row in run.record.results["rows"]}
    assert rows["capitalised_share"]["auroc"]["value"] == 1.0
    assert rows["noise_gap"]["clean_twin_auroc"] is None
    [warning] = run.record.results["warnings"]
    assert "capitalised share has an AUROC of 1.000" in warning
    assert "The words alone" in render_report(run.path).read_text()


def test_words_that_tell_nothing_beyond_chance_do_not_warn():
    area = {"value": 0.7, "low": 0.45, "high": 0.9, "n": 20, "groups": 4}
    row = {"detector": "caption_length", "needs": ["words"], "auroc": area}
    assert not list_warnings([row, row | {"auroc": None}])
    assert list_warnings([row | {"auroc": area | {"low": 0.6}}])
    assert not list_warnings([row | {"needs": ["condition"], "auroc": area | {"low": 0.6}}])
