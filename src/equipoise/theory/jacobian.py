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
from math import prod
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

    @property
    def top_share(self) -> float:
        """Share of the largest in the sum of squares of the values."""
        energy = self.singular_values**2
        return float(energy[0] / energy.sum().clamp_min(1e-300))


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
        BadInputError: for another shape or count, or a reference of zero.
        NonFiniteError: when `x` or the Jacobian holds NaN or infinity.
    """
    dim = prod(denoiser.sample_shape)
    reference = x if reference is None else reference
    for name, given in (("x", x), ("reference", reference)):
        if tuple(given.shape) != tuple(denoiser.sample_shape):
            raise BadInputError(
                f"measure_jacobian got {name} of shape {tuple(given.shape)}. A sample of this "
                f"model has shape {tuple(denoiser.sample_shape)}; pass one, without batch axis."
            )
    if not 1 <= count < dim:
        raise BadInputError(
            f"measure_jacobian got count={count} for samples of {dim} values. Pass 1 to {dim - 1}."
        )
    if not bool(torch.isfinite(x).all()):
        raise NonFiniteError("measure_jacobian got NaN or infinity in x; pass a finite sample.")
    if not bool(reference.abs().sum() > 0):
        raise BadInputError("measure_jacobian got a reference of zero, which has no direction.")
    values, vector = _run_lanczos(denoiser, x, sigma, count)
    top = torch.from_numpy(vector).to(x).reshape(x.shape)
    cosine = float((top * reference).sum() / (top.norm() * reference.norm()))
    return JacobianSpectrum(
        torch.from_numpy(values), top if cosine >= 0 else -top, min(abs(cosine), 1.0)
    )


def _run_lanczos(
    denoiser: Denoiser, x: Float[Tensor, "..."], sigma: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values, descending, and the right singular vector of the first."""
    from scipy.sparse.linalg import LinearOperator, svds
    from torch.nn.attention import SDPBackend, sdpa_kernel

    level = x.new_full((1,), sigma)

    def denoise(point: Tensor) -> Tensor:
        return denoiser.denoise(point[None], level, denoiser.null_condition(1))[0]

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention differentiate once only
        pull = torch.func.vjp(denoise, x)[1]
        push = torch.func.vjp(lambda u: pull(u)[0], torch.zeros_like(x))[1]

        def apply(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
            def matvec(vector: np.ndarray) -> np.ndarray:
                point = torch.from_numpy(np.ascontiguousarray(vector)).to(x).reshape(x.shape)
                return _flatten(function(point))

            return matvec

        build: Any = LinearOperator  # SciPy's types know the class, not that it is a factory
        J = build(
            (x.numel(), x.numel()),
            matvec=apply(lambda v: push(v)[0]),
            rmatvec=apply(lambda u: pull(u)[0]),
            dtype=np.float64,
        )
        start = np.random.default_rng(0).standard_normal(x.numel())  # a call can be repeated
        decomposition: Any = svds(J, k=count, v0=start, solver="arpack")
    _, values, rows = decomposition
    order = np.argsort(-values)
    return values[order].copy(), rows[order[0]].copy()


def _flatten(tensor: Tensor) -> np.ndarray:
    if not bool(torch.isfinite(tensor).all()):
        raise NonFiniteError(
            "The Jacobian holds NaN or infinity at this sample. Weights and noise level must be "
            "finite, and sigma positive for most models."
        )
    return tensor.detach().double().flatten().numpy()
