"""What denoisers share that compute in image units, at every noise level, without a condition."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class _Shaped(Protocol):
    @property
    def sample_shape(self) -> tuple[int, ...]: ...


class DataUnits:
    """The part of `Denoiser` that does nothing: data units are image units.

    A subclass has a `sample_shape`, and overrides what it does otherwise.
    """

    @property
    def image_shape(self: _Shaped) -> tuple[int, ...]:
        """Shape of one picture: that of a sample."""
        return self.sample_shape

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma

    def null_condition(self, batch: int) -> Tensor | None:
        """Return None: there is no condition."""
        return None

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Return the images; centre them before, if the data were centred."""
        return images

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Return the samples as they are, unclipped."""
        return x0
