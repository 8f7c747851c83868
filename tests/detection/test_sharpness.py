"""Sharpness against Hessians of the log-density that autograd writes down, in float64."""

import pytest
import torch

from equipoise.detection import Sharpness
from equipoise.sampling import draw_noise


@pytest.mark.parametrize("start", ["noise", "image"])
def test_it_is_the_norm_of_the_hessian_difference_times_the_score_difference(
    smooth, evidence, start
):
    images, ids, classes = evidence
    found = Sharpness(sigma=0.8, start=start, draws=2).score(
        smooth, images, ids, conditions=classes
    )
    for row in range(4):
        for draw in range(2):
            eps = draw_noise((1, 3, 2), seed=0, item_id=ids[row], draw=draw).double()
            x = 0.8 * eps + (images[row] if start == "image" else 0)

            def score_at(flat, cond):
                level = torch.tensor([0.8]).double()
                x0_hat = smooth.denoise(flat.reshape(1, 1, 3, 2), level, torch.tensor([cond]))
                return (x0_hat.flatten() - flat) / 0.8**2

            at = [(score_at, int(classes[row])), (score_at, 3)]
            s = [f(x.flatten(), c) for f, c in at]
            H = [torch.func.jacrev(f)(x.flatten(), c) for f, c in at]
            expected = ((H[0] - H[1]) @ (s[0] - s[1])).norm()
            assert float(found.per_draw[row, draw]) == pytest.approx(float(expected))
