"""The splits of a comparison share no planted image and no output."""

import numpy as np
import pytest
import torch

from equipoise.bench.parts import load_parts
from equipoise.bench.stage import MIN_CALIBRATE, NUM_CHOOSE, Items, build_stage
from equipoise.errors import CalibrationError


def test_the_first_of_each_kind_are_picked_in_order():
    planted = np.array([-1, 7, -1, 7, 9, -1])
    items = Items(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), list("abcdef"), None, planted)
    assert items.find_first(2).tolist() == [1, 3, 0, 2]
    some = items.pick(items.find_first(2))
    assert some.ids == ["b", "d", "a", "c"]
    assert some.planted.tolist() == [7, 7, -1, -1]


@pytest.mark.slow
def test_splits_share_nothing():
    model = load_parts("zoo:dit-fashion").model
    stage = build_stage(model, seed=4, num_samples=420)
    chosen_on, told = (set(part.planted.tolist()) - {-1} for part in (stage.choose, stage.report))
    assert not chosen_on & told
    assert {model.split_of(index) for index in chosen_on} == {"selection"}
    assert {model.split_of(index) for index in told} == {"report"}
    parts = (stage.choose, stage.calibrate, stage.report)
    ids = [set(part.ids) for part in parts]
    assert not ids[0] & ids[1] | ids[1] & ids[2] | ids[0] & ids[2]
    assert (stage.choose.planted < 0).sum() == NUM_CHOOSE
    assert len(stage.calibrate) >= MIN_CALIBRATE
    assert stage.arms["training"].conditions is not None
    assert stage.arms["held_out"].conditions is None
    assert stage.report.prompts is None


def test_too_few_outputs_are_refused():
    with pytest.raises(CalibrationError, match="--num-samples"):
        build_stage(load_parts("zoo:edm-fashion").model, seed=4, num_samples=4)
