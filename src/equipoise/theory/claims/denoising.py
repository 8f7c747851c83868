r"""Claims about denoisers and their loss: Eqs. 3, 4, 5 and 6.

Tweedie's formula ties a denoiser to the density of its noisy samples,
`f(x) = x + sigma^2 grad log p_sigma(x)`. Automatic differentiation of the log density knows
nothing of softmax weights or posterior covariances.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal

from equipoise.denoisers import Denoiser
from equipoise.theory.claims.claim import Claim
from equipoise.theory.claims.example import build_mixture, build_samples, draw_normal
from equipoise.theory.mixture import empirical_denoiser
from equipoise.theory.objective import empirical_loss, relu_loss
from equipoise.theory.relu_dae import ReluDae, build_relu_dae


@dataclass(frozen=True)
class Score:
    """A denoiser, and the logarithm of the noisy density it belongs to."""

    denoiser: Denoiser
    log_density: Callable[[Tensor], Tensor]
    x: Float[Tensor, "case dim"]
    sigma: float


def build_empirical_score() -> Score:
    """Seven samples, and points between them."""
    X, sigma = build_samples(7, 12), 1.5

    def log_density(x: Tensor) -> Tensor:
        return torch.logsumexp(-((x[:, None] - X) ** 2).sum(-1) / (2 * sigma**2), dim=1)

    return Score(empirical_denoiser(X), log_density, 2 * draw_normal(40, 12, seed=1), sigma)


def build_mixture_score() -> Score:
    """Three modes with spread, and points between them."""
    mixture, sigma = build_mixture(3, 15, spread=1.0, directions=4), 1.5
    noisy = mixture.covariances + sigma**2 * torch.eye(15, dtype=torch.float64)
    modes = MultivariateNormal(mixture.means, noisy)

    def log_density(x: Tensor) -> Tensor:
        return torch.logsumexp(modes.log_prob(x[:, None]) + mixture.weights.log(), dim=1)

    return Score(mixture, log_density, 2 * draw_normal(40, 15, seed=2), sigma)


def measure_score(case: Score) -> float:
    """Compare the denoiser with Tweedie's formula; largest difference, relative."""
    x = case.x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(case.log_density(x).sum(), x)
    expected = case.x + case.sigma**2 * slope
    found = case.denoiser.denoise(case.x, case.x.new_full((len(x),), case.sigma))
    return float((found - expected).abs().max() / expected.abs().max())


@dataclass(frozen=True)
class Network:
    """A network, any module from x to x, and points to look at."""

    module: torch.nn.Module
    x: Float[Tensor, "case dim"]


def build_network() -> Network:
    """A ReLU-DAE with random weights."""
    dae = build_relu_dae(draw_normal(9, 14, seed=3), draw_normal(9, 14, seed=4))
    return Network(dae, draw_normal(20, 9, seed=5))


def measure_euler(case: Network) -> float:
    """Test `J(x) x = f(x) = f(3 x) / 3`, with J by automatic differentiation."""
    with torch.no_grad():
        value, tripled = case.module(case.x), case.module(3 * case.x) / 3
    J = torch.stack([_differentiate(case.module, x) for x in case.x])
    through = torch.einsum("nij,nj->ni", J, case.x)
    worst = torch.stack([(through - value).abs().max(), (tripled - value).abs().max()]).max()
    return float(worst / value.abs().max())


def _differentiate(module: torch.nn.Module, x: Float[Tensor, " dim"]) -> Tensor:
    J = torch.autograd.functional.jacobian(lambda point: module(point[None])[0], x)
    assert isinstance(J, Tensor)
    return J


@dataclass(frozen=True)
class Noise:
    """A network and samples; the noise of the formulas and that of the simulation."""

    dae: ReluDae
    X: Float[Tensor, "case dim"]
    sigma: float
    drawn_sigma: float


def build_noise() -> Noise:
    """Weights that solve nothing, so that every term of the loss counts."""
    dae = build_relu_dae(draw_normal(6, 8, seed=6), draw_normal(6, 8, seed=7))
    return Noise(dae.requires_grad_(False), draw_normal(4, 6, seed=8), 0.7, 0.7)


def measure_noise(case: Noise, draws: int = 150_000) -> float:
    """Compare both exact losses with a simulation; the larger difference, in standard errors.

    The simulated network of the fixed active set is linear in each sample's own way.
    """
    x0 = case.X.repeat(draws, 1)
    x = x0 + case.drawn_sigma * draw_normal(*x0.shape, seed=9)
    kept = (case.dae.representation(case.X) > 0).double().repeat(draws, 1)
    outputs = {
        relu_loss: case.dae(x),
        empirical_loss: ((x @ case.dae.W1) * kept) @ case.dae.W2.T,
    }
    scores = []
    for loss, output in outputs.items():
        errors = (output - x0).square().sum(1).reshape(draws, -1).mean(1)
        expected = loss(case.dae, case.X, sigma=case.sigma, weight_decay=0.0)
        scores.append((errors.mean() - expected).abs() / (errors.std() / draws**0.5))
    return float(torch.stack(scores).max())


CLAIMS = (
    Claim(
        "empirical denoiser", "Eq. 3",
        "Difference to x + sigma^2 grad log p of the noisy samples, relative; float64.",
        1e-12, build_empirical_score, measure_score,
    ),
    Claim(
        "denoiser of a mixture", "Eq. 4",
        "Difference to x + sigma^2 grad log p of the noisy mixture, relative; float64.",
        1e-10, build_mixture_score, measure_score,
    ),
    Claim(
        "ReLU-DAE has no bias", "Eq. 5",
        "Difference between f(x), J(x) x and f(3 x) / 3, relative; J by differentiation.",
        1e-12, build_network, measure_euler,
    ),
    Claim(
        "objective over the noise", "Eq. 6",
        "Largest difference between the two exact losses (true ReLU, fixed active set) and a "
        "simulation of 150,000 draws, in standard errors.",
        4.0, build_noise, measure_noise,
    ),
)  # fmt: skip
