from itertools import pairwise

import numpy as np
import pytest
import torch

from equipoise.detection import Whitening
from equipoise.errors import CalibrationError
from equipoise.guarding.fit import choose_levels, collect_evidence, fit_guard
from equipoise.guarding.sampler import SamplerSource
from equipoise.representation import observe
from equipoise.sampling import draw_noise_batch

from .conftest import IDS

pytestmark = pytest.mark.slow


def run_heun(subject, ids):
    """Karras et al. 2022, Alg. 1, once more; yields what each forward was given."""
    denoiser, sigmas = subject.denoiser, subject.sampler.list_sigmas(subject.denoiser)
    noise = draw_noise_batch((1, 16, 16), seed=1, item_ids=ids, draws=[0] * len(ids))
    x = noise * sigmas[0]
    with torch.no_grad():
        for s, t in pairwise(sigmas):
            yield s, x
            d = (x - denoiser.denoise(x, torch.full((len(x),), s))) / s
            euler = x + (t - s) * d
            if t > 0:
                yield t, euler
                d = (d + (euler - denoiser.denoise(euler, torch.full((len(x),), t))) / t) / 2
            x = x + (t - s) * d


def test_the_free_score_is_that_of_a_slow_twin(subject, detector, evidence, fitted):
    calibration = fitted("free")
    levels = [look.detector.sigma for look in calibration.looks]
    passed = sorted(evidence.units)
    assert levels == passed[: len(levels)][::-1]
    assert levels[0] > detector.sigma > levels[1]
    ids, site, scores = IDS[:32], detector.sites[0], []
    for sigma in levels:
        units = [
            observe(subject.denoiser, x, torch.full((32,), s), (site,))[site]
            .tensor.double()
            .numpy()
            for s, x in run_heun(subject, ids)
            if np.isclose(s, sigma, rtol=1e-6)
        ]
        assert calibration.detector.draws == len(units) == 2
        known = np.concatenate([visit[:30] for visit in units])  # a half of sixty
        z = [(visit - known.mean(axis=0)) / known.std(axis=0) for visit in units]
        raw = np.mean([each.std(axis=1) for each in z], axis=0)
        scores.append((raw - raw[:30].mean()) / raw[:30].std(ddof=1))
    score = np.mean(scores, axis=0)
    assert np.min(np.abs(np.array(calibration.scores) - score[30])) < 1e-3
    assert calibration.n == 30
    assert (calibration.mode, calibration.conditioned) == ("free", False)


def test_check_takes_the_detector_as_it_is_with_one_draw(subject, detector, fitted):
    calibration = fitted("check")
    assert calibration.detector == detector.model_copy(update={"draws": 1})
    assert calibration.looks == ()


def test_early_looks_at_all_levels_below_three_deviations(subject, detector, evidence, fitted):
    sigmas = [look.detector.sigma for look in fitted("early").looks]
    assert sigmas == [sigma for sigma in sorted(evidence.units, reverse=True) if sigma <= 1.5]
    wanted = choose_levels(subject.denoiser, evidence, detector, mode="early", sigmas=[0.02, 9.0])
    assert wanted == pytest.approx([10.0, 0.02])


def test_a_calibration_reads_back_as_it_was(fitted, tmp_path):
    from equipoise.detection import load_calibration

    fitted("early").save(tmp_path / "guard.json")
    assert load_calibration(tmp_path / "guard.json") == fitted("early")


def test_too_few_outputs_and_mixed_calls_are_refused(subject, detector, evidence):
    with pytest.raises(CalibrationError, match="at least 999 items"):
        fit_guard(subject.denoiser, evidence, detector, mode="free", fpr=0.001, null="own outputs")
    with pytest.raises(CalibrationError, match="0 kinds of calls"):
        collect_evidence(SamplerSource(subject), [], detector, mode="free")


def test_a_covariance_is_measured_anew_at_every_level_with_as_many_axes(
    subject, detector, evidence
):
    units = torch.cat([visit for visits in evidence.units.values() for visit in visits])
    white = detector.model_copy(
        update={"scale": Whitening.fit(units, num_axes=3), "statistic": "l2", "condition": "own"}
    )
    found = fit_guard(subject.denoiser, evidence, white, mode="free", fpr=0.1, null="own outputs")
    assert all(len(look.detector.scale.axes) == 3 for look in found.looks)
    assert len({look.detector.scale.mean for look in found.looks}) == len(found.looks) > 1


def test_looking_once_with_the_empty_condition_is_not_being_told(subject, detector):
    told = detector.model_copy(update={"condition": "own"})
    with pytest.raises(CalibrationError, match='the mode "free"'):
        collect_evidence(SamplerSource(subject), [], told, mode="check")


def test_a_score_that_never_varies_is_refused(subject, detector, evidence):
    same = {
        sigma: [torch.ones_like(v) for v in visits] for sigma, visits in evidence.units.items()
    }
    flat = type(evidence)(same, evidence.x0, evidence.images, evidence.conditioned)
    with pytest.raises(CalibrationError, match="does not vary"):
        fit_guard(subject.denoiser, flat, detector, mode="free", fpr=0.1, null="own outputs")
