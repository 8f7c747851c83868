r"""The Jacobian of a denoiser at a sample, without its matrix (App. B.3).

`J = df/dx` at `(x, sigma)` is applied to a vector, and so is its transpose; SciPy's Lanczos method
needs nothing else for the largest singular values. `J^T u` is reverse-mode differentiation. `J v`
is the same once more, through `u -> J^T u`, which is linear in u: forward mode would do, but torch
cannot run it through every layer (group norm in a channels-last U-Net is one).

A ReLU-DAE is linear around a point, `J = W2 D W1^T` with the 0/1 diagonal of its active units. At
a memorized sample one unit is active, so J has rank one and its singular vector is the sample; at
a generalized one J is a shrinkage of the local principal directions, and its spectrum decays
slowly.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Appendix B.3 | arXiv 2512.20963
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.errors import BadInputError, NonFiniteError


@dataclass(frozen=True)
class JacobianSpectrum:
    """The largest singular values of the Jacobian at one sample."""

    singular_values: Float[Tensor, " value"]
    """Descending."""
    top_vector: Float[Tensor, "..."]
    """Right singular vector of the largest, in the shape of a sample; its sign makes `cosine`
    positive."""
    cosine: float
    """Cosine of the top vector to the reference, from 0 to 1."""

    @property
    def effective_rank(self) -> float:
        """`(sum s^2)^2 / sum s^4` over the values: 1 where one dominates."""
        energy = self.singular_values**2
        return float(energy.sum() ** 2 / (energy**2).sum().clamp_min(1e-300))


def measure_jacobian(
    denoiser: Denoiser,
    x: Float[Tensor, "..."],
    *,
    sigma: float,
    count: int = 10,
    reference: Float[Tensor, "..."] | None = None,
) -> JacobianSpectrum:
    """Measure the largest singular values of `d denoise(x, sigma) / dx`, matrix-free.

    Args:
        denoiser: Any model; its empty condition is used. It is differentiated in its own type.
        x: Where, in the shape of one sample, in data units.
        sigma: Noise level in data units.
        count: Singular values wanted, below the number of values of a sample.
        reference: What the top vector is compared with, in the shape of a sample; None: `x`.

    Raises:
        BadInputError: for another shape, level or count, a reference of zero, or a
            Jacobian of zero.
        NonFiniteError: when `x`, the reference or the Jacobian holds NaN or infinity.
    """
    reference = x if reference is None else reference
    for name, given in (("x", x), ("reference", reference)):
        _check_sample(denoiser, given, name)
    if not bool(reference.abs().sum() > 0):
        raise BadInputError("measure_jacobian got a reference of zero, which has no direction.")
    dim = prod(denoiser.sample_shape)
    if not 1 <= count < dim:
        raise BadInputError(
            f"measure_jacobian got count={count} for samples of {dim} values. It must be 1 or "
            "more, and below the number of values."
        )
    if not 0 <= sigma < inf:
        raise BadInputError(
            f"measure_jacobian got sigma={sigma}. Pass a finite noise level that is not negative."
        )
    values, vector = _run_lanczos(denoiser, x, sigma, count)
    top = torch.from_numpy(vector).to(x).reshape(x.shape)
    cosine = float((top * reference).sum() / (top.norm() * reference.norm()))
    return JacobianSpectrum(
        torch.from_numpy(values), top if cosine >= 0 else -top, min(abs(cosine), 1.0)
    )


def _check_sample(denoiser: Denoiser, x: Float[Tensor, "..."], name: str) -> None:
    if tuple(x.shape) != tuple(denoiser.sample_shape):
        raise BadInputError(
            f"measure_jacobian got {name} of shape {tuple(x.shape)}. A sample of this model has "
            f"shape {tuple(denoiser.sample_shape)}; pass one, without batch axis."
        )
    if not bool(torch.isfinite(x).all()):
        raise NonFiniteError(
            f"measure_jacobian got NaN or infinity in {name}; pass a finite sample."
        )


def _run_lanczos(
    denoiser: Denoiser, x: Float[Tensor, "..."], sigma: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values, descending, and the right singular vector of the first."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention differentiate once only
        pull, push = _linearize(denoiser, x, sigma)

        def apply(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
            def matvec(vector: np.ndarray) -> np.ndarray:
                point = torch.from_numpy(np.ascontiguousarray(vector)).to(x).reshape(x.shape)
                return _flatten(function(point))

            return matvec

        build: Any = LinearOperator  # SciPy's types know the class, not that it is a factory
        J = build(
            (x.numel(), x.numel()),
            matvec=apply(push),
            rmatvec=apply(pull),
            dtype=np.float64,
        )
        start = np.random.default_rng(0).standard_normal(x.numel())  # a call can be repeated
        try:
            decomposition: Any = svds(J, k=count, v0=start, solver="arpack")
        except ArpackError as error:  # J applied to any vector is zero
            raise BadInputError(
                f"The Jacobian at this sample has no singular vectors ({error}): it is zero, as "
                "where no unit of a ReLU-DAE is active. Take another sample."
            ) from error
    _, values, rows = decomposition
    order = np.argsort(-values)
    return values[order].copy(), rows[order[0]].copy()


def _linearize(
    denoiser: Denoiser, x: Float[Tensor, "..."], sigma: float
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return the maps `u -> J^T u` and `v -> J v` at `x`."""
    point = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        level = point.new_full((1,), sigma)
        x0_hat = denoiser.denoise(point[None], level, denoiser.null_condition(1))[0]
        u0 = torch.zeros_like(x0_hat, requires_grad=True)
        (pulled,) = torch.autograd.grad(x0_hat, point, u0, create_graph=True)

    def pull(u: Tensor) -> Tensor:
        return torch.autograd.grad(x0_hat, point, u, retain_graph=True)[0]

    def push(v: Tensor) -> Tensor:
        return torch.autograd.grad(pulled, u0, v, retain_graph=True)[0]

    return pull, push


def _flatten(tensor: Tensor) -> np.ndarray:
    if not bool(torch.isfinite(tensor).all()):
        raise NonFiniteError(
            "The Jacobian holds NaN or infinity at this sample. Weights and noise level must be "
            "finite, and sigma positive for most models."
        )
    return tensor.detach().double().flatten().numpy()
