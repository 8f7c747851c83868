"""Changed pictures and settings, on a stage made by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from equipoise.bench.contest import run_contest
from equipoise.bench.entry import Entry
from equipoise.bench.stage import Items, Stage
from equipoise.bench.trial import (
    CHANGES,
    OUT_OF_DOMAIN,
    add_noise,
    crop,
    run_trials,
    save_as_jpeg,
    shrink,
)
from equipoise.denoisers import GaussianDenoiser, wrap
from equipoise.detection import Card, Scores, Spikiness
from equipoise.images import content_ids

MODEL = GaussianDenoiser(torch.zeros(1, 16, 16), torch.eye(256))
RAMP = torch.arange(0, 256, 16, dtype=torch.uint8).expand(2, 3, 16, 16)


@dataclass(frozen=True)
class Ink:
    """The mean of the picture."""

    @property
    def card(self):
        return Card(name="ink", source="this test", formula="mean", evaluations=1, direction="ink")

    def score(self, denoiser, images, ids, *, conditions=None, batch=64):
        assert list(ids) == content_ids((images * 255).round().to(torch.uint8))
        return Scores(images.double().flatten(1).mean(dim=1, keepdim=True), len(ids), 0.0)


def build_items(levels, planted):
    pictures = torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 16, 16)
    return Items(pictures.clone(), content_ids(pictures), None, np.array(planted))


@pytest.fixture(scope="module")
def stage():
    return Stage(
        choose=build_items([200, 201, 10, 11], [1, 2, -1, -1]),
        calibrate=build_items(list(range(100)), [-1] * 100),
        report=build_items([220, 222, *range(20, 90)], [3, 5, *[-1] * 70]),
        arms={"held_out": build_items(list(range(10, 20)), [-1] * 10)},
        evaluations=0, seconds=0.0,
    )  # fmt: skip


def test_changes_keep_shape_and_nearly_keep_a_ramp():
    for change in CHANGES.values():
        changed = change(RAMP)
        assert (changed.shape, changed.dtype) == (RAMP.shape, torch.uint8)
        error = changed[..., 3:-3].int() - RAMP[..., 3:-3].int()
        assert error.abs().max() <= 24
    for change in (save_as_jpeg, shrink, crop, add_noise):
        assert not torch.equal(change(RAMP), RAMP)


def test_a_crop_shows_the_middle():
    inner = crop(RAMP)
    assert int(inner.min()) >= 16
    assert int(inner.max()) <= 224


def test_thresholds_stay_and_foreign_negatives_are_counted(stage):
    outcome = run_contest(Entry("ink", (Ink(),)), stage, MODEL, None)
    rows = {row["trial"]: row for row in run_trials(outcome, stage, MODEL)}
    assert list(rows) == [*CHANGES, OUT_OF_DOMAIN]  # a detector of no draws has no such setting
    assert rows["as drawn"]["auroc"]["value"] == 1.0
    assert rows["as drawn"]["tpr_at_1pct_fpr"]["value"] == 1.0
    assert rows["as drawn"]["fpr"] == {**rows["as drawn"]["fpr"], "value": 0.0, "n": 70}
    # inverted, the held-out pictures are lighter than every copy and than the threshold
    assert rows[OUT_OF_DOMAIN]["auroc"]["value"] == 0.0
    assert rows[OUT_OF_DOMAIN]["fpr"]["value"] == 1.0
    assert rows[OUT_OF_DOMAIN]["tpr_at_1pct_fpr"]["value"] == 1.0


def test_draws_and_arithmetic_are_changed_where_a_detector_has_them(stage):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 256))
    model = wrap(
        network, sample_shape=(1, 16, 16), data_std=0.5, sites=("1:in",),
        call=lambda net, x, sigma: net(x).reshape(x.shape),
    )  # fmt: skip
    entry = Entry("spikiness", (Spikiness(sites=("1:in",), sigma=0.1, draws=2),))
    outcome = run_contest(entry, stage, model, None)
    trials = [row["trial"] for row in run_trials(outcome, stage, model)]
    assert trials == [*CHANGES, "one draw", "bfloat16", OUT_OF_DOMAIN]
