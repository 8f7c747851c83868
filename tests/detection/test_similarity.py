"""Structural similarity against SciPy's Gaussian windows, and the score against a loop."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from equipoise.detection import OneStepSimilarity
from equipoise.detection.pole import build_pole
from equipoise.detection.similarity import measure_similarity
from equipoise.errors import BadInputError
from equipoise.sampling import draw_noise

at = np.arange(-5, 6)
LINE = np.exp(-(at**2) / (2 * 1.5**2))
WINDOW = np.outer(LINE, LINE) / LINE.sum() ** 2


def slow_similarity(a, b, scales):
    """Wang et al., 2003, a window at a time, inside the picture only."""
    product = 1.0
    for scale in range(scales):

        def blur(x):
            return correlate(x, WINDOW)[5:-5, 5:-5]

        ma, mb = blur(a), blur(b)
        va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        contrast = (2 * cov + 0.03**2) / (va + vb + 0.03**2)
        luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
        seen = contrast * luminance if scale == scales - 1 else contrast
        product *= max(seen.mean(), 0) ** (1 / scales)
        a, b = (x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3)) for x in (a, b))
    return product


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (32, 2), (64, 3)])
def test_similarity_equals_a_slow_calculation(side, scales):
    generator = torch.Generator().manual_seed(side)
    a = torch.rand(3, 1, side, side, generator=generator, dtype=torch.float64)
    b = (a + 0.3 * torch.rand(a.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    found = measure_similarity(a, b)
    for row in range(3):
        expected = slow_similarity(a[row, 0].numpy(), b[row, 0].numpy(), scales)
        assert float(found[row]) == pytest.approx(expected)
    torch.testing.assert_close(measure_similarity(a, a), torch.ones(3).double())


def test_the_score_is_the_largest_over_pairs_of_noise():
    pole = build_pole()
    rows = [0, 7]
    found = OneStepSimilarity(sigma=2.0, draws=3).score(
        pole.denoiser, pole.images[rows], [pole.ids[i] for i in rows],
        conditions=pole.conditions[rows],
    )  # fmt: skip
    for place, row in enumerate(rows):
        deltas = []
        for draw in range(3):
            eps = draw_noise((1, 16, 16), seed=0, item_id=pole.ids[row], draw=draw)
            x = 2.0 * eps[None]
            x0_hat = pole.denoiser.denoise(x, torch.tensor([2.0]), pole.conditions[[row]])
            delta = ((x - x0_hat) / 2.0 - eps)[0, 0].double().numpy()
            deltas.append((delta - delta.min()) / (delta.max() - delta.min()))
        pairs = [(0, 1), (0, 2), (1, 2)]
        expected = max(slow_similarity(deltas[i], deltas[j], 1) for i, j in pairs)
        assert float(found.values[place]) == pytest.approx(expected, abs=2e-5)


def test_samples_that_are_too_small_are_refused(smooth, evidence):
    images, ids, classes = evidence
    with pytest.raises(BadInputError, match="11 x 11"):
        OneStepSimilarity(sigma=1.0).score(smooth, images, ids, conditions=classes)
