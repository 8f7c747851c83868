"""One-step confidence against the sampler's own first step."""

import pytest
import torch

from equipoise.detection import OneStepConfidence
from equipoise.sampling import draw_noise


def test_it_is_the_distance_one_guided_step_to_zero_goes(smooth, evidence):
    images, ids, classes = evidence
    found = OneStepConfidence(sigma=5.0, guidance=3.0, draws=1, seed=4).score(
        smooth, images, ids, conditions=classes
    )
    z = 5.0 * draw_noise((1, 3, 2), seed=4, item_id="d", draw=0).double()
    level = torch.tensor([5.0]).double()
    D_c, D_u = (smooth.denoise(z[None], level, torch.tensor([c]))[0] for c in (0, 3))
    noise = (z - (D_u + 3.0 * (D_c - D_u))) / 5.0
    ended = z + (0.0 - 5.0) * noise  # one step of Euler's method
    assert float(found.values[3]) == pytest.approx(float((z - ended).square().mean()))
