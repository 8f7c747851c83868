"""One detector on a stage made by hand, where every figure is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from equipoise.bench.contest import (
    Outcome,
    compare_outcomes,
    describe_outcome,
    run_contest,
)
from equipoise.bench.entry import Entry
from equipoise.bench.stage import Items, Stage
from equipoise.bench.wording import PromptBaseline
from equipoise.denoisers import GaussianDenoiser
from equipoise.detection import Card, NoiseGap, Scores
from equipoise.zoo.planting import PlantedImage

CARD = Card(name="ink", source="this test", formula="mean", evaluations=1, direction="dark")


@dataclass(frozen=True)
class Ink:
    """The mean of the picture, or nothing but zero."""

    factor: float = 1.0

    @property
    def card(self):
        return CARD

    def score(self, denoiser, images, ids, *, conditions=None, batch=64):
        means = self.factor * images.double().flatten(1).mean(dim=1)
        return Scores(means[:, None], evaluations=len(ids), seconds=0.5 * len(ids))


def build_items(levels, planted):
    pictures = torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    ids = [f"{i}" for i in range(len(levels))]
    return Items(pictures, ids, None, np.array(planted))


def build_stage(*, copies, novel):
    others = build_items(list(range(100)), [-1] * 100)
    return Stage(
        choose=build_items([10, 20, 200, 210], [1, 2, -1, -1]),
        calibrate=build_items(list(range(100, 200)), [-1] * 100),
        report=build_items([*copies, *novel], [3, 3, 5, *[-1] * len(novel)]),
        arms={"training": others, "held_out": others}, evaluations=0, seconds=0.0,
    )  # fmt: skip


MODEL = GaussianDenoiser(torch.zeros(1, 2, 2), torch.eye(4))
PLANTED = {3: PlantedImage(3, "exact", 45), 5: PlantedImage(5, "near", 90)}


@pytest.fixture(scope="module")
def stage():
    return build_stage(copies=[90, 99, 103], novel=list(range(100, 120)))


@pytest.fixture(scope="module")
def outcome(stage):
    entry = Entry("ink", (Ink(0.0), Ink(1.0)))
    return run_contest(entry, stage, MODEL, MODEL)


def test_the_variant_and_its_sign_are_chosen_on_the_choosing_split(outcome):
    assert isinstance(outcome, Outcome)
    assert (outcome.detector.factor, outcome.sign) == (1.0, -1)
    assert outcome.chosen_auroc == 1.0


def test_figures_come_from_the_report_split(outcome, stage):
    row = describe_outcome(outcome, stage, PLANTED, None)
    # copies 90, 99 and 103 against 100 .. 119, darker = more memorized: 103 is beaten by 3.5 of 20
    assert row["auroc"]["value"] == pytest.approx((1 + 1 + 1 - 3.5 / 20) / 3)
    assert row["auroc"]["groups"] == 2
    # the darkest calibration item is 100: below it lie two of three copies and no novel output
    assert row["tpr_at_1pct_fpr"]["value"] == pytest.approx(2 / 3)
    assert (row["fpr"]["value"], row["fpr"]["n"]) == (0.0, 20)
    assert row["by_kind"]["exact"]["value"] == 1.0
    assert row["by_multiplicity"]["90"]["value"] == pytest.approx(1 - 3.5 / 20)
    assert row["n"] == {"copies": 3, "planted_images": 2, "novel": 20, "calibration": 100}
    assert row["seconds_per_item"] == pytest.approx(0.5)
    assert row["roc"]["tpr"][0] == pytest.approx(2 / 3)
    assert row["roc"]["tpr"][-1] == 1.0


def test_a_difference_is_taken_on_common_items(outcome, stage):
    residual = replace(outcome, entry=Entry("denoising_residual", (Ink(),)), scores=outcome.scores)
    row = describe_outcome(outcome, stage, PLANTED, residual)
    assert row["minus_residual"]["value"] == 0.0
    assert row["found_minus_residual"]["value"] == 0.0


def test_two_detectors_are_compared_on_the_items_both_saw_and_at_the_threshold_of_each(
    outcome, stage
):
    # another one that saw neither the last copy nor five novel outputs, and turned around
    rows = np.array([0, 1, *range(3, 18)])
    other = replace(outcome, rows=rows, scores=-outcome.scores[rows], twin=None)
    versus = compare_outcomes(outcome, other, stage)
    assert (versus.auroc["value"], versus.auroc["n"]) == (1.0, 17)
    assert (versus.found["value"], versus.found["n"], versus.found["groups"]) == (-0.0, 2, 1)
    lenient = replace(other, calibration=other.calibration + 1000)
    assert compare_outcomes(outcome, lenient, stage).found["value"] == 1.0
    near = np.isin(stage.report.planted, [-1, 5])
    assert compare_outcomes(outcome, outcome, stage, near).found["n"] == 1


def test_a_detector_without_a_condition_is_skipped_with_the_reason(stage):
    entry = Entry("gap", (NoiseGap(sigma=1.0),))
    assert "takes none" in run_contest(entry, stage, MODEL, MODEL)


@dataclass(frozen=True)
class Reader(GaussianDenoiser):
    """A model that reads words, or says so."""

    text_encoder = staticmethod(len)


def test_words_alone_are_a_baseline_where_the_model_reads_them(stage):
    entry = Entry("caption_length", (PromptBaseline(statistic="caption_length"),), baseline=True)
    assert "reads none" in run_contest(entry, stage, MODEL, MODEL)
    reader = Reader(MODEL.mean, MODEL.covariance)
    told = {
        name: replace(items, prompts=["a" if p < 0 else "a b" for p in items.planted])
        for name, items in vars(stage).items()
        if isinstance(items, Items)
    }
    outcome = run_contest(entry, replace(stage, **told), reader, None)
    row = describe_outcome(outcome, stage, {}, None)
    assert row["auroc"]["value"] == 1.0
    assert row["clean_twin_auroc"] is None
    assert row["against"] == {"training": None, "held_out": None}
    assert row["by_kind"] == {}
