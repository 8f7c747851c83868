import pytest
import torch

from equipoise.theory import (
    build_random_dae,
    build_relu_dae,
    empirical_loss,
    fit_relu_dae,
    memorizing_weights,
    train_relu_dae,
)
from equipoise.theory.phase import cell as cell_module
from equipoise.theory.phase.cell import (
    BATCH,
    DECAY,
    RATE,
    SIGMA,
    STEPS,
    Cell,
    build_allocated,
    draw_training,
    measure_cell,
    measure_stored,
    predict_loss,
    predict_stored,
)
from equipoise.theory.phase.world import TrainingSet, build_mixture


@pytest.fixture(scope="module")
def mixture():
    return build_mixture()


def test_a_column_along_a_sample_counts_and_a_short_or_slanted_one_does_not():
    stored = torch.eye(3, 8)
    slanted = torch.tensor([0.0, 1.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0])
    W = torch.stack([2 * stored[0], slanted, 1e-3 * stored[2]], dim=1)
    assert measure_stored(W, stored) == pytest.approx(1 / 3)
    assert measure_stored(stored.T, stored) == 1


def test_the_loss_of_the_allocation_is_that_of_its_network(mixture):
    """Few samples, each alone: the allocation is Eq. 9, and its loss is measured on weights."""
    X = mixture.means[:5]
    training = TrainingSet(list(X.split(1)), X, list(range(5)), X)
    W = memorizing_weights(X, sigma=SIGMA, weight_decay=DECAY, num_units=5).W
    level = {"sigma": SIGMA, "weight_decay": DECAY}
    expected = float(empirical_loss(build_relu_dae(W), X, **level).detach())
    assert predict_loss(training, 5) == pytest.approx(expected, rel=1e-5)
    dae = build_allocated(training, 5).requires_grad_(False)
    assert float(empirical_loss(dae, X, **level)) == pytest.approx(expected, rel=1e-5)
    assert predict_stored(training, 5) == 1
    assert predict_stored(training, 2) == pytest.approx(0.4)
    assert predict_loss(training, 4) > predict_loss(training, 5)


def test_samples_that_share_a_cluster_are_not_predicted(mixture):
    X = mixture.means[:4]
    training = TrainingSet([X[:1], X[1:]], X, [0, -1, -1, -1], X)
    assert predict_stored(training, 99) == 0.25


def test_the_network_of_the_allocation_has_its_loss(mixture):
    training = draw_training(Cell("copies", 24, 240, 4), mixture, seed=0)
    dae = build_allocated(training, 24).requires_grad_(False)
    loss = float(empirical_loss(dae, training.X, sigma=SIGMA, weight_decay=DECAY))
    assert loss == pytest.approx(predict_loss(training, 24), rel=0.01)  # a unit may be off
    assert measure_stored(dae.W1, training.stored) == predict_stored(training, 24)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", [Cell("units", 8, 4, 0), Cell("copies", 24, 60, 8)], ids=["units", "copies"]
)
def test_a_cell_has_the_numbers_of_a_training_by_hand(mixture, cell):
    """Trained and measured here by other words: column by column, sample by sample."""
    found = measure_cell(cell, mixture, seed=3)
    training = draw_training(cell, mixture, seed=3)
    dae = fit_relu_dae(
        train_relu_dae(
            build_random_dae(84, cell.units, scale=0.05, seed=3), training.X, sigma=SIGMA,
            weight_decay=DECAY, steps=STEPS, rate=RATE, batch=BATCH, seed=3,
        )
    )  # fmt: skip
    columns = [w for w in dae.W1.T if w.norm() > 0.01 * dae.W1.norm(dim=0).max()]
    is_stored = [
        any(float(torch.cosine_similarity(x, w, dim=0)) > 0.98 for w in columns)
        for x in training.stored
    ]
    assert found["stored"] == pytest.approx(sum(is_stored) / len(is_stored))
    for name, samples in (("std_stored", training.stored), ("std_fresh", training.fresh)):
        own = [float((dae.W1.T @ x).clamp_min(0).var(correction=0).sqrt()) for x in samples]
        assert found[name] == pytest.approx(sum(own) / len(own), rel=1e-4)
    assert found["loss"] == pytest.approx(found["closed_loss"], rel=0.05)
    assert found["stored"] == found["predicted"] == 1
    assert found["kept"] is None


@pytest.mark.slow
def test_a_training_that_stores_too_few_is_repeated_from_the_closed_form(mixture, monkeypatch):
    """A short step from random weights stores nothing; from the closed form it keeps all."""
    monkeypatch.setattr(cell_module, "STEPS", 1)
    monkeypatch.setattr(cell_module, "RATE", 1e-4)
    found = measure_cell(Cell("units", 8, 4, 0), mixture, seed=3)
    assert (found["stored"], found["predicted"], found["kept"]) == (0, 1, 1)
