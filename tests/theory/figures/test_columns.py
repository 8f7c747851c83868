import pytest
import torch

from equipoise.theory import build_relu_dae
from equipoise.theory.figures.columns import build_columns, describe_network, pick_columns
from equipoise.theory.figures.part import SHOWN, SIGMAS
from equipoise.theory.regime import Regime


def test_stored_samples_come_first_and_then_the_longest():
    W = torch.diag(torch.tensor([1.0, 5.0, 2.0, 3.0]))
    stored = torch.tensor([[0.0, 0.0, 9.0, 0.0]])
    shown = pick_columns(W, stored)
    assert [int(column.argmax()) for column in shown] == [2, 1, 3, 0]


def test_columns_that_are_a_stored_image_are_counted():
    stored = torch.eye(3, 9)
    other = torch.zeros(1, 9)
    other[0, 5] = 1.0
    dae = build_relu_dae(torch.cat([stored[:2], other, 1e-4 * stored[2:]]).T)
    regime = Regime("hybrid", stored, stored, stored)
    found = describe_network(dae.requires_grad_(False), regime, sigma=1.0)
    assert found["stored_images"] == 2  # a column a hundredth as long as the longest is nothing
    assert found["stored_columns"] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_every_regime_is_drawn_at_every_level(nets):
    part = build_columns(nets)
    rows = part.results["networks"]
    assert [(row["regime"], row["sigma"]) for row in rows] == [
        (name, sigma) for name in nets.regimes for sigma in SIGMAS
    ]
    for row in rows:
        assert part.tensors[f"{row['regime']}-{row['sigma']:g}"].shape == (SHOWN, 16)
        assert (row["ratios"] is None) == (row["regime"] != "memorizing")
