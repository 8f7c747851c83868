import math

import pytest
import torch

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import (
    OBJECTIVES,
    OPTIMIZERS,
    build_random_dae,
    empirical_loss,
    fit_relu_dae,
    relu_loss,
    train_relu_dae,
)

LEVEL = {"sigma": 0.3, "weight_decay": 0.01}


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def start(**changed):
    return build_random_dae(5, 8, **({"scale": 0.2, "seed": 0, "dtype": torch.float64} | changed))


def test_random_weights_have_the_scale_asked_for():
    dae = build_random_dae(200, 300, scale=0.05, seed=3)
    for weights in (dae.W1, dae.W2):
        assert float(weights.detach().std()) == pytest.approx(0.05, rel=0.02)
    assert not torch.equal(dae.W1, dae.W2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(optimizer):
    X, dae = draw(6, 5, seed=1), start()
    trained = fit_relu_dae(
        train_relu_dae(
            dae, X, steps=40, rate=0.01, optimizer=optimizer, objective="fixed", **LEVEL
        )
    )
    with torch.no_grad():
        assert empirical_loss(trained, X, **LEVEL) < 0.95 * empirical_loss(dae, X, **LEVEL)


@pytest.mark.parametrize(("objective", "loss"), [("fixed", empirical_loss), ("relu", relu_loss)])
def test_the_first_step_goes_down_the_gradient(objective, loss):
    X, dae = draw(6, 5, seed=1), start().requires_grad_(True)
    loss(dae, X, **LEVEL).backward()
    expected = [weights - 0.01 * weights.grad for weights in dae.parameters()]
    states = train_relu_dae(
        dae, X, steps=3, rate=0.01, optimizer="sgd", objective=objective, **LEVEL
    )
    first = next(states)
    for found, wanted in zip(first.dae.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert first.step == 1
    assert first.loss == pytest.approx(float(loss(dae, X, **LEVEL).detach()))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_seed_decides_everything_and_the_start_is_left_as_it_was(objective):
    X, dae = draw(6, 5, seed=1), start()
    before = dae.W1.clone()

    def train(seed):
        return fit_relu_dae(train_relu_dae(
            dae, X, steps=5, batch=4, objective=objective, seed=seed, **LEVEL
        )).W1  # fmt: skip

    assert torch.equal(train(0), train(0))
    assert not torch.equal(train(0), train(1))
    assert torch.equal(dae.W1, before)


def test_the_type_of_the_weights_is_the_type_of_the_training():
    states = train_relu_dae(start(dtype=torch.float32), draw(6, 5, seed=1), steps=1, **LEVEL)
    assert fit_relu_dae(states).W1.dtype == torch.float32


def test_it_comes_to_rest():
    *_, late, last = (
        state.dae.W1.detach().clone()
        for state in train_relu_dae(start(), draw(6, 5, seed=1), steps=60, **LEVEL)
    )
    assert (last - late).abs().max() < 1e-4


def test_a_training_that_diverges_is_an_error():
    states = train_relu_dae(
        start(), 100 * draw(6, 5, seed=1), steps=400, rate=10.0, optimizer="sgd", **LEVEL
    )
    with pytest.raises(NonFiniteError, match="lower the rate"):
        list(states)


@pytest.mark.parametrize(
    ("X", "changed", "message"),
    [
        (draw(6, 4, seed=1), {}, "samples of the network's dim"),
        (draw(6, 5, seed=1), {"steps": 0}, "steps=0"),
        (draw(6, 5, seed=1), {"batch": 0}, "batch=0"),
        (draw(6, 5, seed=1), {"optimizer": "lion"}, "Known: sgd"),
        (draw(6, 5, seed=1), {"objective": "mse"}, "Known: sampled"),
        (draw(6, 5, seed=1), {"sigma": math.nan}, "sigma=nan"),
        (draw(6, 5, seed=1), {"rate": 0.0}, "rate=0"),
        (draw(6, 5, seed=1), {"rate": math.nan}, "rate=nan"),
        (draw(0, 5, seed=1), {}, "no sample"),
    ],
)
def test_wrong_input_is_refused_at_the_first_step(X, changed, message):
    states = train_relu_dae(start(), X, **({"steps": 2} | LEVEL | changed))
    with pytest.raises(BadInputError, match=message):
        next(states)


@pytest.mark.parametrize(
    ("dim", "num_units", "scale"), [(0, 3, 0.1), (3, 0, 0.1), (3, 3, 0.0), (3, 3, math.nan)]
)
def test_random_weights_need_a_size_and_a_scale(dim, num_units, scale):
    with pytest.raises(BadInputError, match="build_random_dae"):
        build_random_dae(dim, num_units, scale=scale, seed=0)
