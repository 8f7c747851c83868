import dataclasses
import math

import pytest
import torch

from equipoise.detection import Scores, build_default
from equipoise.detection.precision import TRIED, compare, try_precisions


def scores_of(values, seconds):
    return Scores(torch.tensor(values)[:, None].double(), evaluations=len(values), seconds=seconds)


FULL = [float(v) for v in range(40)]
NEAR = [v + 0.1 * (-1) ** i for i, v in enumerate(FULL)]


@pytest.mark.parametrize(
    ("half", "seconds", "chosen"),
    [
        (NEAR, 0.5, "bfloat16"),
        (NEAR, 0.9, "float32"),  # hardly faster
        (NEAR, 2.0, "float32"),  # slower, as without bf16 units
        ([v + 3 for v in FULL], 0.5, "float32"),  # same order, another level: another threshold
        ([FULL[i ^ 1] for i in range(40)], 0.5, "float32"),  # rank correlation .996, but .09 off
        ([FULL[i ^ 7] for i in range(40)], 0.5, "float32"),
        ([math.nan] * 40, 0.5, "float32"),
    ],
    ids=["faster", "hardly", "slower", "shifted", "swapped", "mixed", "not finite"],
)
def test_half_precision_is_taken_where_it_is_faster_and_says_the_same(half, seconds, chosen):
    trial = compare(scores_of(FULL, 1.0), scores_of(half, seconds))
    assert trial.speedup == pytest.approx(1 / seconds)
    assert trial.n == 40
    if chosen == "bfloat16":
        rms = math.sqrt(sum((a - b) ** 2 for a, b in zip(half, FULL, strict=True)) / 40)
        assert trial.deviation == pytest.approx(rms / math.sqrt((40**2 - 1) / 12))
    assert trial.precision == chosen


def test_scores_without_spread_decide_nothing():
    trial = compare(scores_of([1.0] * 5, 1.0), scores_of([1.0] * 5, 0.1))
    assert trial.precision == "float32"


def test_both_are_tried_on_the_same_pictures_and_noise(tiny_edm):
    detector = build_default(tiny_edm)
    images = torch.rand(TRIED + 9, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = [f"i{k}" for k in range(len(images))]
    trial = try_precisions(tiny_edm, detector, images, ids)
    assert trial.n == TRIED
    full, half = (
        detector.model_copy(update={"precision": p}).score(tiny_edm, images[:TRIED], ids[:TRIED])
        for p in ("float32", "bfloat16")
    )
    expected = compare(full, half)
    assert dataclasses.replace(trial, speedup=expected.speedup) == expected
    assert 0 < trial.deviation < 0.5
