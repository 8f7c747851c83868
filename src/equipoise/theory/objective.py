r"""The denoising loss of a ReLU-DAE, with its noise expectation in three ways.

    (1/n) sum_i E_eps ||f(x_i + sigma eps) - x_i||^2 + lambda (||W1||_F^2 + ||W2||_F^2)   (Eq. 6)

- `empirical_loss`: closed form, the active units of each clean sample kept. With `D_i` their 0/1
  diagonal and `A_i = W2 D_i W1^T`, a term is `||A_i x_i - x_i||^2 + sigma^2 ||A_i||_F^2`.
- `relu_loss`: the true ReLU. The preactivations of a pair of units are jointly Gaussian, with
  means `mu`, deviations `s` and correlation `rho`; write `a = mu / s`. Then

      E[h_j]     = mu_j Phi(a_j) + s_j phi(a_j)
      E[h_j h_k] = E[h_j] E[h_k]
                   + s_j s_k (rho Phi(a_j) Phi(a_k) + int_0^rho (rho - r) phi_2(a_j, a_k; r) dr)

  The second line is Plackett's identity, used twice: the derivative of `E[h_j h_k]` in rho is
  `s_j s_k Phi_2(a_j, a_k; rho)`, and that of `Phi_2` is the bivariate normal density `phi_2`. With
  `r = sin(theta)` the integrand is smooth, and Gauss-Legendre with 24 nodes leaves an error below
  1e-9 of the loss. Differentiable, and exact at any noise level.
- `sampled_loss`: one draw of the noise a sample, what a training step sees.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Eq. 6 | arXiv 2512.20963
    A Reduction Formula for Normal Multivariate Integrals (Plackett, 1954) | Biometrika 41
"""

from math import pi

import torch
from jaxtyping import Float
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from equipoise.errors import BadInputError
from equipoise.theory.relu_dae import ReluDae
from equipoise.theory.requirement import check_level, check_width

NODES = 24
"""Nodes of the Gauss-Legendre rule of `relu_loss`."""
BUDGET = 1_000_000
"""Numbers that `relu_loss` holds at once for the nodes of some cases and all pairs."""


def empirical_loss(
    dae: ReluDae, X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float
) -> Float[Tensor, ""]:
    r"""Measure Eq. 6 exactly over the noise, with the active units of each clean sample fixed.

    That is Eq. 6 as far as the noise switches no unit on or off. Differentiable in the weights.

    Args:
        dae: The network.
        X: The training samples, one a row.
        sigma: Standard deviation of the noise, in data units; not negative.
        weight_decay: `lambda`; not negative.

    Raises:
        BadInputError: for samples that do not fit the network, or a wrong level.
    """
    _check(dae, X, sigma, weight_decay)
    D = (dae.representation(X) > 0).to(X.dtype)
    error = (dae(X) - X).square().sum(1)
    # ||W2 D W1^T||_F^2 = d^T (W1^T W1 * W2^T W2) d, with d the diagonal of D
    gram = (dae.W1.T @ dae.W1) * (dae.W2.T @ dae.W2)
    noise = sigma**2 * ((D @ gram) * D).sum(1)
    return (error + noise).mean() + _decay(dae, weight_decay)


def relu_loss(
    dae: ReluDae, X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float
) -> Float[Tensor, ""]:
    """Measure Eq. 6 for the true ReLU, by quadrature; memory grows with `n p^2`.

    Args:
        dae: The network; float64 where digits matter.
        X: The training samples, one a row.
        sigma: Standard deviation of the noise, in data units; positive.
        weight_decay: `lambda`; not negative.

    Raises:
        BadInputError: for samples that do not fit the network, or a wrong level.
    """
    _check(dae, X, sigma, weight_decay)
    if sigma == 0:
        raise BadInputError(
            "relu_loss got sigma=0, where there is nothing to integrate. Pass a positive sigma, "
            "or use empirical_loss, which is exact at 0."
        )
    mu = X @ dae.W1  # case unit
    first, second, cross = _moments(mu, sigma**2 * (dae.W1.T @ dae.W1))
    gram = dae.W2.T @ dae.W2
    j, k = torch.triu_indices(len(gram), len(gram), 1)
    energy = (second * gram.diagonal()).sum(1) + 2 * (cross * gram[j, k]).sum(1)
    fit = (first * (X @ dae.W2)).sum(1)
    return (energy - 2 * fit + X.square().sum(1)).mean() + _decay(dae, weight_decay)


def sampled_loss(
    dae: ReluDae,
    X: Float[Tensor, "case dim"],
    generator: torch.Generator,
    *,
    sigma: float,
    weight_decay: float,
) -> Float[Tensor, ""]:
    """Estimate Eq. 6 with one draw of the noise a sample; not biased."""
    _check(dae, X, sigma, weight_decay)
    eps = torch.randn(X.shape, generator=generator, dtype=X.dtype)
    error = (dae(X + sigma * eps) - X).square().sum(1)
    return error.mean() + _decay(dae, weight_decay)


def _moments(
    mu: Float[Tensor, "case unit"], covariance: Float[Tensor, "unit unit"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `E[h_j]`, `E[h_j^2]` and, for the pairs j < k, `E[h_j h_k]`."""
    tiny = torch.finfo(mu.dtype).tiny
    s = covariance.diagonal().clamp_min(tiny).sqrt()  # a unit without weights stays at zero
    a = mu / s
    Phi, phi = torch.special.ndtr(a), torch.exp(-(a**2) / 2) / (2 * pi) ** 0.5
    first = mu * Phi + s * phi
    second = (mu**2 + s**2) * Phi + mu * s * phi
    j, k = torch.triu_indices(len(s), len(s), 1)
    edge = 1 - 10 * torch.finfo(mu.dtype).eps  # parallel units: asin has no slope at 1
    rho = (covariance[j, k] / (s[j] * s[k])).clamp(-edge, edge)
    integral = rho * Phi[:, j] * Phi[:, k] + _integrate(a[:, j], a[:, k], rho)
    return first, second, first[:, j] * first[:, k] + s[j] * s[k] * integral


def _integrate(
    a: Float[Tensor, "case pair"], b: Float[Tensor, "case pair"], rho: Float[Tensor, " pair"]
) -> Float[Tensor, "case pair"]:
    """Integrate `(rho - r) phi_2(a, b; r)` over r from 0 to rho, with `r = sin(theta)`."""
    nodes, weights = (torch.from_numpy(values).to(a) for values in leggauss(NODES))
    half = torch.asin(rho)[:, None] / 2  # pair 1
    theta = half * (nodes + 1)  # pair node
    r = torch.sin(theta)
    scaled = (rho[:, None] - r) * half * weights
    double = 2 * torch.cos(theta) ** 2
    rows = max(1, BUDGET // max(1, theta.numel()))
    parts = [
        _sum_nodes(a_part, b_part, r, double, scaled)
        for a_part, b_part in zip(a.split(rows), b.split(rows), strict=True)
    ]
    return torch.cat(parts) / (2 * pi)


def _sum_nodes(a: Tensor, b: Tensor, r: Tensor, double: Tensor, scaled: Tensor) -> Tensor:
    a, b = a[..., None], b[..., None]  # case pair 1
    return (torch.exp(-(a**2 + b**2 - 2 * r * a * b) / double) * scaled).sum(-1)


def _decay(dae: ReluDae, weight_decay: float) -> Float[Tensor, ""]:
    return weight_decay * (dae.W1.square().sum() + dae.W2.square().sum())


def _check(dae: ReluDae, X: Tensor, sigma: float, weight_decay: float) -> None:
    check_level(sigma, weight_decay)
    check_width(X, len(dae.W1))
    if X.dtype != dae.W1.dtype:
        raise BadInputError(
            f"The samples are of type {X.dtype}, the weights of {dae.W1.dtype}. They must be of "
            "one type; convert the samples, or the network by dae.double()."
        )
