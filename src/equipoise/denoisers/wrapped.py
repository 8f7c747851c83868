r"""Make a denoiser of anybody's module, by a few words about it.

A network that predicts x0 or eps gets `x = x0 + sigma eps`, one that predicts v the
variance-preserving input `x / sqrt(1 + sigma^2)`, a flow `x / (1 + sigma)`; what follows from its
answer is in `prediction.py`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.prediction import PREDICTIONS, Prediction, estimate_x0, scale_input
from equipoise.denoisers.protocol import check_finite_weights
from equipoise.errors import BadInputError


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

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one picture: that of a sample."""
        return self.sample_shape

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Estimate `E[x0 | x]` from what the network predicts."""
        level = per_sample(sigma, x)
        output = self.call(self.network, scale_input(self.prediction, x, level), sigma)
        return estimate_x0(self.prediction, output, x, level)

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma

    def null_condition(self, batch: int) -> None:
        """Return None: wrapped modules are called without a condition."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [0, 1] to the module's range."""
        return self.low + (self.high - self.low) * images

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map the module's range back to [0, 1], clipping what lies outside."""
        return ((x0 - self.low) / (self.high - self.low)).clamp(0, 1)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "WrappedDenoiser":
        """Return a copy on `device` in `dtype`; the original is left as it was."""
        return replace(self, network=copy.deepcopy(self.network).to(device=device, dtype=dtype))


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
        prediction: What the network predicts: "x0", "eps", "v" or "flow" ("v" gets the
            variance-preserving input `x / sqrt(1 + sigma^2)`, "flow" gets `x / (1 + sigma)`).
        call: How to call it, `call(module, x, sigma)`; default `module(x, sigma)`.
        sites: Default sites, when nobody chooses others.
        value_range: Data units of black and white.

    Raises:
        BadInputError: when a word is out of its range.
        NonFiniteError: when the weights hold NaN or infinity.
    """
    if prediction not in PREDICTIONS:
        raise BadInputError(
            f'Cannot wrap a network that predicts "{prediction}": {", ".join(PREDICTIONS)} are '
            "known."
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
