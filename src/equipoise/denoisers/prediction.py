r"""What a network predicts, and the clean sample that follows.

With `x = x0 + sigma eps`, `alpha = 1 / sqrt(1 + sigma^2)` and the variance-preserving input
`z = alpha x`:

    x0:   D = F
    eps:  D = x - sigma F
    v:    D = alpha z - alpha sigma F,   F ~= alpha eps - alpha sigma x0

A flow from data to noise has the time `t = sigma / (1 + sigma)` and the input
`z = (1 - t) x0 + t eps = (1 - t) x`:

    flow: D = z - t F,                   F ~= eps - x0

References:
    Progressive Distillation for Fast Sampling of Diffusion Models (Salimans and Ho, 2022),
    App. D | arXiv 2202.00512
    Flow Matching for Generative Modeling (Lipman et al., 2023) | arXiv 2210.02747
"""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

Prediction = Literal["x0", "eps", "v", "flow"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def scale_input(
    prediction: Prediction,
    x: Float[Tensor, "batch ..."],
    level: Float[Tensor, "batch ..."],
) -> Float[Tensor, "batch ..."]:
    """Turn the noisy sample into what a network without a schedule of its own is given.

    Args:
        prediction: What the network predicts.
        x: The noisy sample `x0 + sigma eps`.
        level: Sigma, with the axes of `x`.
    """
    if prediction == "v":
        return x / (1 + level**2).sqrt()
    return x / (1 + level) if prediction == "flow" else x


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
    if prediction == "flow":
        return (x - level * output) / (1 + level)
    alpha = (1 + level**2) ** -0.5
    return alpha * (alpha * x) - (level * alpha) * output
