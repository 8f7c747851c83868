import math

import pytest
import torch
from scipy.integrate import dblquad

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import build_relu_dae, empirical_loss, objective, relu_loss, sampled_loss

LEVEL = {"sigma": 0.7, "weight_decay": 0.01}


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def integrate_product(mu, covariance):
    """Integrate `E[relu(a) relu(b)]` over the density of the pair, in the positive quadrant."""
    P, (m, n) = torch.linalg.inv(covariance), mu.tolist()
    scale = 1 / (2 * math.pi * math.sqrt(torch.linalg.det(covariance)))

    def value(b, a):
        u, v = a - m, b - n
        power = P[0, 0] * u * u + 2 * P[0, 1] * u * v + P[1, 1] * v * v
        return a * b * scale * math.exp(-float(power) / 2)

    reach = 9 * float(covariance.diagonal().max().sqrt())
    return dblquad(value, 0, max(m, 0) + reach, 0, max(n, 0) + reach, epsabs=1e-10)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_products_of_units_are_their_double_integral(seed):
    """W2 = I in two dimensions: the loss holds the squares; the cross term comes by a shear."""
    W1, x = draw(3, 2, seed=seed), draw(1, 3, seed=seed + 9)
    mu, covariance = (x @ W1)[0], LEVEL["sigma"] ** 2 * W1.T @ W1
    expected = integrate_product(mu, covariance)
    _, _, cross = objective._moments(x @ W1, covariance)
    assert float(cross[0, 0]) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("loss", [relu_loss, empirical_loss])
def test_gradients_are_those_of_finite_differences(loss):
    X = draw(3, 4, seed=0)

    def measure(W1, W2):
        dae = build_relu_dae(W1, W2)
        given = {"encoder.weight": W1.T, "decoder.weight": W2}
        return torch.func.functional_call(
            _Loss(dae, loss, X), {f"dae.{k}": v for k, v in given.items()}, ()
        )

    weights = [draw(4, 3, seed=s).requires_grad_(True) for s in (1, 2)]
    assert torch.autograd.gradcheck(measure, weights)


class _Loss(torch.nn.Module):
    def __init__(self, dae, loss, X):
        super().__init__()
        self.dae, self.loss, self.X = dae, loss, X

    def forward(self):
        return self.loss(self.dae, self.X, **LEVEL)


def test_losses_agree_where_noise_switches_nothing():
    dae, X = build_relu_dae(draw(5, 4, seed=3), draw(5, 4, seed=4)), draw(6, 5, seed=5)
    small = {"sigma": 1e-4, "weight_decay": 0.3}
    torch.testing.assert_close(relu_loss(dae, X, **small), empirical_loss(dae, X, **small))


def test_parallel_opposed_and_empty_units_have_a_loss_and_a_slope():
    w = draw(5, 1, seed=6)
    dae = build_relu_dae(torch.cat([w, w, -w, 0 * w], 1)).requires_grad_(True)
    X = draw(4, 5, seed=7)
    loss = relu_loss(dae, X, **LEVEL)
    loss.backward()
    assert all(bool(torch.isfinite(weights.grad).all()) for weights in dae.parameters())
    # Two equal units answer as one that is sqrt(2) times as long; the empty one adds nothing.
    merged = build_relu_dae(torch.cat([2**0.5 * w, -w], 1))
    torch.testing.assert_close(loss, relu_loss(merged, X, **LEVEL), rtol=1e-7, atol=0)


def test_the_budget_of_memory_changes_nothing(monkeypatch):
    dae, X = build_relu_dae(draw(5, 4, seed=3), draw(5, 4, seed=4)), draw(7, 5, seed=5)
    whole = relu_loss(dae, X, **LEVEL)
    monkeypatch.setattr(objective, "BUDGET", 1)
    torch.testing.assert_close(relu_loss(dae, X, **LEVEL), whole, rtol=1e-14, atol=0)


def test_draws_average_to_the_exact_loss():
    dae, X = build_relu_dae(draw(5, 4, seed=3), draw(5, 4, seed=4)), draw(7, 5, seed=5)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([sampled_loss(dae, X, generator, **LEVEL) for _ in range(1000)])
    expected = relu_loss(dae, X, **LEVEL).detach()
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / len(drawn) ** 0.5


def draw_loss(dae, X, **level):
    return sampled_loss(dae, X, torch.Generator(), **level)


@pytest.mark.parametrize("loss", [relu_loss, empirical_loss, draw_loss])
@pytest.mark.parametrize(
    ("X", "level", "error"),
    [
        (draw(3, 6, seed=0), {}, BadInputError),
        (draw(3, 5, seed=0), {"sigma": -1.0}, BadInputError),
        (draw(3, 5, seed=0), {"weight_decay": math.inf}, BadInputError),
        (draw(0, 5, seed=0), {}, BadInputError),
        (draw(3, 5, seed=0).float(), {}, BadInputError),
        (torch.full((2, 5), math.nan).double(), {}, NonFiniteError),
    ],
    ids=["dim", "sigma", "decay", "empty", "type", "not a number"],
)
def test_wrong_input_is_refused(loss, X, level, error):
    with pytest.raises(error):
        loss(build_relu_dae(draw(5, 4, seed=3)), X, **(LEVEL | level))


def test_quadrature_needs_noise():
    with pytest.raises(BadInputError, match="empirical_loss, which is exact at 0"):
        relu_loss(
            build_relu_dae(draw(5, 4, seed=3)), draw(2, 5, seed=0), sigma=0.0, weight_decay=0.0
        )
