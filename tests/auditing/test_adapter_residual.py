import numpy as np
import pytest
import torch

from equipoise.auditing.adapter_residual import LogResidual
from equipoise.denoisers import build_from_pipeline
from equipoise.detection import Noisy


@pytest.mark.slow
@pytest.mark.parametrize("captioned", [False, True])
def test_the_score_is_minus_the_logarithm_of_the_error(pipeline, captioned):
    model = build_from_pipeline(pipeline)
    generator = torch.Generator().manual_seed(3)
    x0, eps = (torch.randn(2, *model.sample_shape, generator=generator) for _ in range(2))
    told, sigma = model.encode_prompts(["a", "b c"]), torch.full((2,), model.snap(2.0))
    measure = LogResidual(sigma=2.0, captioned=captioned).build_measure(model)
    found = measure(Noisy(x0, eps, sigma, told))
    for row in range(2):
        cond = told[row : row + 1] if captioned else model.encode_prompts([""])
        x = x0[row : row + 1] + sigma[row] * eps[row : row + 1]
        error = model.denoise(x, sigma[row : row + 1], cond)[0] - x0[row]
        expected = -np.log(np.sqrt(np.mean(error.numpy().astype(np.float64) ** 2)))
        assert float(found[row]) == pytest.approx(expected, abs=1e-4)
