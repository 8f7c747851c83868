r"""Make a denoiser of anybody's module, by a few words about it.

What a network predicts is turned into `x0` here and nowhere else. With `x = x0 + sigma * eps`:

    x0       D = F(x, sigma)
    eps      D = x - sigma F(x, sigma)
    v        D = alpha (alpha x) - sigma alpha F(alpha x, sigma),   alpha = 1 / sqrt(1 + sigma^2)

`alpha x` is the variance-preserving input, on which v = alpha eps - sigma alpha x0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.protocol import check_finite_weights
from equipoise.errors import BadInputError

Prediction = Literal["x0", "eps", "v"]


@dataclass(frozen=True)
class WrappedDenoiser:
    """A module with the words that make it a denoiser; build it by `wrap`."""

    network: nn.Module
    sample_shape: tuple[int, ...]
    data_std: float
    prediction: Prediction
    call: Callable[[nn.Module, Tensor, Tensor], Tensor]
    default_sites: tuple[str, ...]
    low: float
    high: float

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Estimate `E[x0 | x]` from what the network predicts."""
        level = per_sample(sigma, x)
        if self.prediction == "x0":
            return self.call(self.network, x, sigma)
        if self.prediction == "eps":
            return x - level * self.call(self.network, x, sigma)
        alpha = (1 + level**2) ** -0.5  # signal scale of the variance-preserving input
        v = self.call(self.network, alpha * x, sigma)
        return alpha * (alpha * x) - (level * alpha) * v

    def null_condition(self, batch: int) -> None:
        """Return None: wrapped modules are called without a condition."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [0, 1] to the module's range."""
        return self.low + (self.high - self.low) * images

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map the module's range back to [0, 1], clipping what lies outside."""
        return ((x0 - self.low) / (self.high - self.low)).clamp(0, 1)


def wrap(
    module: nn.Module,
    *,
    sample_shape: tuple[int, ...],
    data_std: float,
    prediction: Prediction = "x0",
    call: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    sites: tuple[str, ...] = (),
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> WrappedDenoiser:
    """Make a denoiser of `module`, which is not changed.

    Args:
        module: The network.
        sample_shape: Shape of one clean sample, without the batch axis.
        data_std: Standard deviation of the clean samples, in data units.
        prediction: What the network predicts: "x0", "eps" or "v" ("v" gets the
            variance-preserving input `x / sqrt(1 + sigma^2)`).
        call: How to call it, `call(module, x, sigma)`; default `module(x, sigma)`.
        sites: Default sites, when nobody chooses others.
        value_range: Data units of black and white.

    Raises:
        BadInputError: when a word is out of its range.
        NonFiniteError: when the weights hold NaN or infinity.
    """
    if prediction not in ("x0", "eps", "v"):
        raise BadInputError(
            f'Cannot wrap a network that predicts "{prediction}": "x0", "eps" or "v" are known.'
        )
    if not data_std > 0 or not value_range[0] < value_range[1]:
        raise BadInputError(
            f"Cannot wrap with data_std {data_std} and value_range {value_range}: data_std must "
            "be positive and value_range increasing."
        )
    check_finite_weights(module)
    return WrappedDenoiser(
        module, sample_shape, data_std, prediction,
        call or (lambda network, x, sigma: network(x, sigma)),
        sites, *value_range,
    )  # fmt: skip
