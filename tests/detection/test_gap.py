"""The noise gap against loops over single items and draws."""

import itertools

import pytest
import torch

from equipoise.detection import NoiseGap
from equipoise.detection.card import require_conditions
from equipoise.errors import BadInputError
from equipoise.sampling import build_sigmas, draw_noise


def at(model, x, sigma, cond):
    return model.denoise(x[None], torch.tensor([sigma]).double(), torch.tensor([cond]))[0]


@pytest.mark.parametrize("start", ["noise", "image"])
def test_one_step_is_the_norm_of_the_difference_of_noise_predictions(smooth, evidence, start):
    images, ids, classes = evidence
    detector = NoiseGap(sigma=1.5, start=start, draws=2, seed=3)
    found = detector.score(smooth, images, ids, conditions=classes)
    for row in range(4):
        for draw in range(2):
            eps = draw_noise((1, 3, 2), seed=3, item_id=ids[row], draw=draw).double()
            x = 1.5 * eps + (images[row] if start == "image" else 0)
            predicted = [(x - at(smooth, x, 1.5, c)) / 1.5 for c in (int(classes[row]), 3)]
            expected = (predicted[0] - predicted[1]).norm()
            assert float(found.per_draw[row, draw]) == pytest.approx(float(expected))
    assert found.evaluations == 4 * detector.card.evaluations == 4 * 2 * 2


def test_more_steps_follow_the_guided_path(smooth, evidence):
    """Euler's method on dx/dsigma = (x - D) / sigma is DDIM; here as DDIM's own formula."""
    images, ids, classes = evidence
    detector = NoiseGap(sigma=2.0, steps=3, guidance=4.0, draws=1)
    found = detector.score(smooth, images, ids, conditions=classes)
    levels = build_sigmas(3, sigma_min=0.02, sigma_max=2.0, rho=7.0)
    x, norms = 2.0 * draw_noise((1, 3, 2), seed=0, item_id="b", draw=0).double(), []
    for sigma, sigma_next in itertools.pairwise(levels):
        e_c, e_u = ((x - at(smooth, x, sigma, c)) / sigma for c in (1, 3))
        norms.append(float((e_c - e_u).norm()))
        e = e_u + 4.0 * (e_c - e_u)
        x = (x - sigma * e) + sigma_next * e
    assert float(found.values[1]) == pytest.approx(sum(norms) / 3)
    assert detector.card.evaluations == 6


def test_it_is_refused_without_conditions(smooth, tiny_edm, evidence):
    images, ids, classes = evidence
    detector = NoiseGap(sigma=1.0)
    with pytest.raises(BadInputError, match="one condition an image: none given for 4"):
        detector.score(smooth, images, ids)
    with pytest.raises(BadInputError, match="2 given for 4"):
        require_conditions(detector.card, smooth, classes[:2], 4)
    with pytest.raises(BadInputError, match="the model takes none"):
        detector.score(tiny_edm, torch.rand(1, 1, 16, 16), ["a"], conditions=classes[:1])
