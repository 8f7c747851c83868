"""Anisotropy against a loop over items and pixels."""

import numpy as np
import pytest
import torch

from equipoise.detection import Anisotropy
from equipoise.sampling import draw_noise


@pytest.fixture(scope="module")
def colours(smooth):
    from dataclasses import replace

    return replace(smooth, sample_shape=(3, 2, 1))


def test_it_is_a_norm_at_high_and_a_cosine_over_channels_at_low_noise(colours, evidence):
    images, ids, classes = evidence
    detector = Anisotropy(
        sigma=30.0, sigma_low=0.1, norm_weight=2.0, cosine_weight=0.5, draws=2, seed=1
    )
    found = detector.score(colours, images.reshape(4, 3, 2, 1), ids, conditions=classes)
    for row in range(4):
        eps = draw_noise((3, 2, 1), seed=1, item_id=ids[row], draw=1).double()

        def predict(sigma, cond, eps=eps):
            x = eps * np.sqrt(1 + sigma**2)
            level = torch.tensor([sigma]).double()
            x0_hat = colours.denoise(x[None], level, torch.tensor([cond]))[0]
            return ((x - x0_hat) / sigma).numpy()

        high = predict(30.0, int(classes[row])) - predict(30.0, 3)
        e_u = predict(0.1, 3)
        pull = predict(0.1, int(classes[row])) - e_u
        cosines = [
            e_u[:, i, 0] @ pull[:, i, 0]
            / (np.linalg.norm(e_u[:, i, 0]) * np.linalg.norm(pull[:, i, 0]))
            for i in range(2)
        ]  # fmt: skip
        expected = 2.0 * np.linalg.norm(high) + 0.5 * np.mean(cosines)
        assert float(found.per_draw[row, 1]) == pytest.approx(expected, rel=1e-6)
