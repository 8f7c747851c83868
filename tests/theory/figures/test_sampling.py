import pytest
import torch

from equipoise.theory import regime
from equipoise.theory.figures import sampling
from equipoise.theory.figures.network import Networks
from equipoise.theory.figures.part import SHOWN
from equipoise.theory.figures.sampling import build_sampling


@pytest.fixture
def apart(monkeypatch):
    """Images in five tight clusters, so that some five of them are separable."""
    monkeypatch.setattr(sampling, "STEPS", 120)
    monkeypatch.setattr(regime, "DRAWS", 500)
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(5, (140,), generator=generator)
    X = torch.eye(5, 16)[which] + 0.05 * torch.randn(140, 16, generator=generator)
    return Networks(regime.Images(X[:120], X[120:], "five clusters"), seed=0)


@pytest.mark.slow
def test_one_stack_returns_what_it_stores_and_the_other_does_not(apart):
    part = build_sampling(apart, 0)
    memorizing, generalizing = (part.results[n] for n in ("memorizing", "generalizing"))
    assert memorizing["on_a_ray"] > 0.9
    assert generalizing["on_a_ray"] < memorizing["on_a_ray"]
    assert generalizing["sine"]["low"] <= generalizing["sine"]["median"]
    assert part.tensors["memorizing-samples"].shape == (SHOWN, 16)
    assert part.tensors["generalizing-nearest"].shape == (SHOWN, 16)
