import numpy as np
import pytest
import torch

from equipoise.bench.drift import measure_diversity, measure_drift, measure_spread


def test_drift_and_diversity_are_distances_in_units_of_two_outputs():
    generator = torch.Generator().manual_seed(0)
    plain = torch.randint(0, 200, (5, 1, 4, 4), generator=generator, dtype=torch.uint8)
    drawn = torch.stack([plain, plain + 30, plain[:1].expand(5, -1, -1, -1)])
    flat = plain.flatten(1).double().numpy()
    pairs = [np.sqrt(((flat[i] - flat[j]) ** 2).mean()) for i in range(5) for j in range(i)]
    assert measure_drift(drawn)[:2] == pytest.approx([0, 30 / np.mean(pairs)])
    assert measure_diversity(drawn) == pytest.approx([1, 1, 0])
    assert measure_spread(plain) == pytest.approx(np.mean(pairs))
