import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.denoisers import fingerprint
from equipoise.detection import (
    Calibration,
    Scores,
    Spikiness,
    calibrate_scores,
    judge,
    load_calibration,
    q_values,
)
from equipoise.errors import CalibrationError

DETECTOR = Spikiness(sites=("up_blocks.0.resnets.0.conv2:in",), sigma=0.1)


def build_calibration(scores, *, fpr=0.01, domain=None):
    return Calibration(
        detector=DETECTOR,
        fingerprint="0" * 16,
        null="generated and novel",
        promised=fpr,
        scores=tuple(sorted(scores)),
        domain=domain or {},
    )


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(60, 200, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def as_scores(values, spread=0.0, draws=4):
    offsets = torch.linspace(-spread, spread, draws, dtype=torch.float64)
    per_draw = torch.tensor(values, dtype=torch.float64)[:, None] + offsets
    return Scores(per_draw, evaluations=0, seconds=0.0)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    calibration=st.lists(st.floats(-5, 5), min_size=20, max_size=200),
    score=st.floats(-6, 6),
    fpr=st.sampled_from([0.05, 0.1, 0.2, 0.5]),
)
def test_p_value_counts_and_agrees_with_the_threshold(calibration, score, fpr):
    fitted = build_calibration(calibration, fpr=fpr)
    p = float(fitted.p_values(torch.tensor([score], dtype=torch.float64))[0])
    assert p == (1 + sum(c >= score for c in calibration)) / (len(calibration) + 1)
    # Exact rational comparison: p <= fpr, without the rounding of either side.
    count = 1 + sum(c >= score for c in calibration)
    percent = round(fpr * 100)
    assert (score >= fitted.threshold) == (count * 100 <= percent * (len(calibration) + 1))


@pytest.mark.parametrize(("n", "fpr"), [(99, 0.01), (999, 0.001), (19, 0.05)])
def test_the_finest_rate_is_allowed_and_one_item_less_is_refused(tiny_edm, n, fpr):
    def calibrate(count):
        scores = torch.arange(count).double()
        return calibrate_scores(
            DETECTOR, tiny_edm, scores, pictures(len(scores)), fpr=fpr, null="own outputs"
        )

    assert calibrate(n).allowed_above == 0
    assert calibrate(n).threshold > n - 1
    with pytest.raises(CalibrationError, match=f"at least {n} items"):
        calibrate(n - 1)


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, 2.0])
def test_a_rate_outside_zero_and_one_is_refused(tiny_edm, fpr):
    scores = torch.arange(100).double()
    with pytest.raises(CalibrationError, match="0 < fpr < 1"):
        calibrate_scores(
            DETECTOR, tiny_edm, scores, pictures(len(scores)), fpr=fpr, null="own outputs"
        )


def test_the_promise_holds_in_simulation():
    generator = np.random.default_rng(4)
    n, novel, fpr, repeats = 400, 600, 0.05, 400
    inside = 0
    rates = []
    for _ in range(repeats):
        fitted = build_calibration(generator.standard_normal(n).tolist(), fpr=fpr)
        hits = int((generator.standard_normal(novel) >= fitted.threshold).sum())
        low, high = fitted.allowed_false_positives(novel)
        inside += low <= hits <= high
        rates.append(hits / novel)
    # The 95 % prediction interval is discrete, so it covers at least 95 %.
    assert 0.925 <= inside / repeats <= 1
    assert np.mean(rates) <= fpr + 3 * np.std(rates) / repeats**0.5


def test_the_exact_interval_covers_the_true_rate():
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        fitted = build_calibration(generator.uniform(size=300).tolist(), fpr=0.05)
        low, high = fitted.achieved()
        covered += low <= 1 - fitted.threshold <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_verdicts_follow_the_design():
    base = np.linspace(0, 1, 199)
    fitted = build_calibration(base.tolist(), domain={"pixel_mean": (0.0, 0.9)})
    limit = fitted.threshold
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    shown = torch.cat([pictures(3), white])
    sure = judge(fitted, as_scores([limit, limit - 1e-6, 0.1, 0.1]), shown)
    assert sure.verdicts == ("memorized", "not_memorized", "not_memorized", "inconclusive")
    unsure = judge(fitted, as_scores([limit, limit - 1e-6, 0.1, 2.0], spread=0.01), shown)
    assert unsure.verdicts == ("memorized", "inconclusive", "not_memorized", "memorized")


def test_another_model_is_refused_with_both_fingerprints(tiny_edm):
    fitted = build_calibration(np.arange(200.0).tolist())
    with pytest.raises(CalibrationError) as caught:
        fitted.check_model(tiny_edm)
    assert fitted.fingerprint in str(caught.value)
    assert fingerprint(tiny_edm) in str(caught.value)


def test_save_and_load_give_the_same_calibration(tmp_path: Path):
    fitted = build_calibration(np.random.default_rng(0).standard_normal(300).tolist())
    fitted.save(tmp_path / "c.json")
    assert load_calibration(tmp_path / "c.json") == fitted


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": 1}', "[1]"], ids=["empty", "object", "partial", "list"]
)
def test_a_damaged_file_is_refused(tmp_path: Path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(CalibrationError, match="not a calibration file"):
        load_calibration(path)


def test_a_missing_and_a_later_file_are_refused(tmp_path: Path):
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path / "none.json")
    content = json.loads(build_calibration(np.arange(200.0).tolist()).model_dump_json())
    (tmp_path / "later.json").write_text(json.dumps(content | {"version": 99}))
    with pytest.raises(CalibrationError, match="layout 99"):
        load_calibration(tmp_path / "later.json")


def test_undefined_scores_cannot_calibrate(tiny_edm):
    scores = torch.tensor([1.0, float("nan"), 2.0] * 50, dtype=torch.float64)
    with pytest.raises(CalibrationError, match="50 of 150"):
        calibrate_scores(DETECTOR, tiny_edm, scores, pictures(150), fpr=0.05, null="own outputs")


def test_q_values_are_those_of_benjamini_and_hochberg():
    p = np.random.default_rng(1).uniform(size=50) ** 2
    order = np.argsort(p)
    slow = np.empty(50)
    for rank, index in enumerate(order):
        slow[index] = min(p[j] * 50 / (r + 1) for r, j in enumerate(order) if r >= rank)
    assert q_values(torch.from_numpy(p)).numpy() == pytest.approx(np.minimum(slow, 1))


def test_pictures_of_another_size_than_the_calibrations_are_refused(tiny_edm):
    fitted = calibrate_scores(
        DETECTOR, tiny_edm, torch.arange(20.0).double(), pictures(20), fpr=0.1, null="own outputs"
    )
    assert fitted.picture_shape == (1, 8, 8)
    with pytest.raises(CalibrationError, match="two sizes"):
        fitted.check_model(tiny_edm)
    fitted.model_copy(update={"picture_shape": None}).check_model(tiny_edm)
