import pytest
import torch

from equipoise.bench.fit_told import AXES, STATISTICS, TOLD_SHARES, list_readings
from equipoise.bench.parts import load_parts
from equipoise.detection import Spikiness, UnitScale, Whitening


def test_each_statistic_of_scaled_units_and_the_norm_of_whitened_ones_are_tried(unit_noise):
    base = Spikiness(sites=("a:in",), sigma=0.1, condition="own")
    tried = list(list_readings(base, unit_noise))
    scales = [type(one.scale) for one in tried]
    assert scales == [UnitScale] * len(STATISTICS) + [Whitening] * len(AXES)
    assert [one.statistic for one in tried] == [*STATISTICS, "l2", "l2"]
    assert [len(one.scale.axes) for one in tried[-2:]] == list(AXES)
    assert all(one.condition == "own" for one in tried)


@pytest.fixture
def unit_noise():
    return torch.randn(100, 80, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.slow
def test_the_shipped_one_belongs_to_its_model_and_was_chosen_on_the_selection_half():
    parts = load_parts("zoo:sd-emoji")
    assert parts.judging is parts.told
    assert parts.told.detector.condition == "own"
    parts.told.check_model(parts.model.denoiser)
    assert parts.told.n >= 4000
    assert parts.told.selection["cells"] == len(TOLD_SHARES) * (len(STATISTICS) + len(AXES))
    halves = {parts.model.split_of(copies.image) for copies in parts.told.copies}
    assert halves == {"report"}


def test_a_model_without_words_is_judged_told_nothing():
    parts = load_parts("zoo:edm-fashion")
    assert parts.told is None
    assert parts.judging is parts.calibration
