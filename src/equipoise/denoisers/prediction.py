r"""What a network predicts, and the clean sample that follows.

With `x = x0 + sigma eps`, `alpha = 1 / sqrt(1 + sigma^2)` and the variance-preserving input
`z = alpha x`:

    x0:   D = F
    eps:  D = x - sigma F
    v:    D = alpha z - alpha sigma F,   F ~= alpha eps - alpha sigma x0

References:
    Progressive Distillation for Fast Sampling of Diffusion Models (Salimans and Ho, 2022),
    App. D | arXiv 2202.00512
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

Prediction = Literal["x0", "eps", "v"]


def estimate_x0(
    prediction: Prediction,
    output: Float[Tensor, "batch ..."],
    x: Float[Tensor, "batch ..."],
    level: Float[Tensor, "batch ..."],
) -> Float[Tensor, "batch ..."]:
    """Turn a network's output into the estimate of the clean sample.

    Args:
        prediction: What the network predicts.
        output: What it gave.
        x: The noisy sample `x0 + sigma eps`.
        level: Sigma, with the axes of `x`.
    """
    if prediction == "x0":
        return output
    if prediction == "eps":
        return x - level * output
    alpha = (1 + level**2) ** -0.5
    return alpha * (alpha * x) - (level * alpha) * output
