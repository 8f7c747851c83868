import pytest

from equipoise.theory.figures import boundary
from equipoise.theory.figures.boundary import build_boundary, build_optimizers


@pytest.mark.slow
def test_sets_with_rising_beta_are_compared_with_the_closed_form(images, monkeypatch):
    monkeypatch.setattr(boundary, "DRAWS", 500)
    monkeypatch.setattr(boundary, "BETAS", (0.0, 0.8))
    low, high = build_boundary(images, 0).results["points"]
    assert low["beta"] < high["beta"]
    assert high["ratio"] < low["ratio"] < 1.1


@pytest.mark.slow
def test_every_optimizer_has_its_row(nets, monkeypatch):
    tried = [("adam", 0.01), ("rmsprop", 0.003)]
    monkeypatch.setattr(boundary, "OPTIMIZERS", tried)
    monkeypatch.setattr(boundary, "OPTIMIZER_STEPS", 60)
    rows = build_optimizers(nets.regimes["memorizing"], 0).results["rows"]
    assert [(row["optimizer"], row["rate"]) for row in rows] == tried
    assert all(row["units"] >= 1 for row in rows)
