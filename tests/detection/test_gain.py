"""The residual gain against a loop over single items and draws."""

import math

import pytest
import torch

from equipoise.detection import ResidualGain
from equipoise.errors import BadInputError
from equipoise.sampling import draw_noise


def test_it_is_the_logarithm_of_the_ratio_of_errors_told_nothing_and_told(smooth, evidence):
    images, ids, classes = evidence
    detector = ResidualGain(sigma=1.5, draws=2, seed=3)
    found = detector.score(smooth, images, ids, conditions=classes)
    for row in range(4):
        for draw in range(2):
            eps = draw_noise((1, 3, 2), seed=3, item_id=ids[row], draw=draw).double()
            x, sigma = (images[row] + 1.5 * eps)[None], torch.tensor([1.5]).double()
            told, untold = (
                float((smooth.denoise(x, sigma, torch.tensor([c]))[0] - images[row]).norm())
                for c in (int(classes[row]), 3)
            )
            expected = math.log(untold / told)
            assert float(found.per_draw[row, draw]) == pytest.approx(expected)
    assert found.evaluations == 4 * detector.card.evaluations == 4 * 2 * 2


def test_told_nothing_nothing_is_gained(smooth, evidence):
    images, ids, _ = evidence
    empty = torch.full((4,), 3)
    assert not ResidualGain(sigma=1.0).score(smooth, images, ids, conditions=empty).values.any()


def test_it_is_refused_without_conditions(smooth, evidence):
    images, ids, _ = evidence
    with pytest.raises(BadInputError, match="one condition an image"):
        ResidualGain(sigma=1.0).score(smooth, images, ids)
