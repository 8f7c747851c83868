import pytest
import torch

from equipoise.denoisers.prediction import estimate_x0


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_a_perfect_prediction_gives_the_clean_sample_back(prediction):
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 5, 3, 4, 4, generator=generator, dtype=torch.float64)
    level = torch.rand(5, 1, 1, 1, generator=generator, dtype=torch.float64) * 10
    abar = 1 / (1 + level**2)
    outputs = {"x0": x0, "eps": eps, "v": abar.sqrt() * eps - (1 - abar).sqrt() * x0}
    found = estimate_x0(prediction, outputs[prediction], x0 + level * eps, level)
    torch.testing.assert_close(found, x0)
