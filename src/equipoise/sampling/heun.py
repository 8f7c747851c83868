r"""EDM's deterministic sampler as a generator: Heun's second-order method on the ODE.

    dx/dsigma = (x - D(x; sigma)) / sigma

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    Algorithm 1 and Eq. 5 | arXiv 2206.00364
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.errors import BadInputError
from equipoise.sampling.state import SamplerState


def build_sigmas(steps: int, *, sigma_min: float, sigma_max: float, rho: float) -> list[float]:
    """Noise levels from `sigma_max` to `sigma_min`, then 0 (Karras et al. 2022, Eq. 5).

    Raises:
        BadInputError: for fewer than two steps, or levels out of order.
    """
    if steps < 2 or not 0 < sigma_min < sigma_max:
        raise BadInputError(
            f"Cannot space {steps} noise levels from {sigma_max} to {sigma_min}: at least 2 steps "
            "and 0 < sigma_min < sigma_max are needed."
        )
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [*((top + ramp * (bottom - top)) ** rho).tolist(), 0.0]


def sample_heun(
    denoiser: Denoiser,
    noise: Float[Tensor, "batch ..."],
    sigmas: Sequence[float],
    *,
    cond: Tensor | None = None,
) -> Iterator[SamplerState]:
    """Yield the state after every step, from noise to a sample.

    Args:
        denoiser: The model.
        noise: Standard normal noise; `x = sigmas[0] * noise` is the start.
        sigmas: Decreasing noise levels in data units, the last one 0.
        cond: Condition; None means the empty one.
    """
    cond = denoiser.null_condition(len(noise)) if cond is None else cond
    x = noise * sigmas[0]
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        with torch.no_grad():  # here and not around the generator, which gives way at each yield
            # Algorithm 1, lines 6-11
            x0_hat = denoiser.denoise(x, x.new_full((len(x),), sigma), cond)
            slope = (x - x0_hat) / sigma
            x_next = x + (sigma_next - sigma) * slope
            if sigma_next > 0:
                x0_hat = denoiser.denoise(x_next, x.new_full((len(x),), sigma_next), cond)
                slope_next = (x_next - x0_hat) / sigma_next
                x_next = x + (sigma_next - sigma) * (slope + slope_next) / 2
        x = x_next
        yield SamplerState(step + 1, sigma_next, x, x0_hat, 2 if sigma_next > 0 else 1)
