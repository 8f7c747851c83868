r"""A second-order solver that remembers its last estimate: one evaluation a step, not two.

In `lambda = -log sigma` the ODE's linear part is solved exactly, and the denoiser is carried on
linearly from its last two values:

    x_next = (sigma_next / sigma) x + (1 - sigma_next / sigma) (D + (D - D_last) / (2 r))
    r = (lambda - lambda_last) / (lambda_next - lambda)

References:
    DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models
    (Lu et al., 2022), Algorithm 2, with alpha = 1 | arXiv 2211.01095
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.sampling.state import SamplerState


def sample_multistep(
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
    x, last, last_width = noise * sigmas[0], None, math.inf
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        width = math.log(sigma / sigma_next) if sigma_next > 0 else math.inf
        with torch.no_grad():  # here and not around the generator, which gives way at each yield
            x0_hat = denoiser.denoise(x, x.new_full((len(x),), sigma), cond)
            # The last step, endless in lambda, goes onto the estimate as it is.
            ahead = 0.0 if last is None or sigma_next == 0 else width / (2 * last_width)
            carried = x0_hat if last is None else x0_hat + ahead * (x0_hat - last)
            x = carried + (sigma_next / sigma) * (x - carried)
        last, last_width = x0_hat, width
        yield SamplerState(step + 1, sigma_next, x, x0_hat, 1)
