"""From pictures to the samples a model denoises, and back."""

import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import BadInputError


@runtime_checkable
class Codec(Protocol):
    """Maps pictures with values in [0, 1] to samples and back."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map pictures to samples."""
        ...

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map samples to pictures."""
        ...

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "Codec":
        """Return a copy on `device` in `dtype`."""
        ...


@dataclass(frozen=True)
class PixelCodec:
    """Samples are pictures with values in [-1, 1]."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [0, 1] to [-1, 1]."""
        return 2 * images - 1

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [-1, 1] to [0, 1], clipping what lies outside."""
        return ((x0 + 1) / 2).clamp(0, 1)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "PixelCodec":
        """Return itself: there is nothing to move."""
        return self


@dataclass(frozen=True)
class NoCodec:
    """Samples are latents of a VAE that is not at hand."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Refuse: there is no VAE."""
        raise self._missing("encode pictures")

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Refuse: there is no VAE."""
        raise self._missing("decode samples")

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "NoCodec":
        """Return itself: there is nothing to move."""
        return self

    def _missing(self, task: str) -> BadInputError:
        return BadInputError(
            f"This model works on the latents of a VAE, which its file does not hold: it cannot "
            f"{task}. Load it with vae=FOLDER, a VAE that diffusers saved."
        )


@dataclass(frozen=True)
class VaeCodec:
    """Samples are the latents of a diffusers autoencoder, scaled as the model was trained.

    The mean of the encoder is taken, not a draw: a score then depends on the picture alone.
    """

    vae: Any

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map pictures to scaled latents."""
        weights = next(self.vae.parameters())
        latents = self.vae.encode((2 * images - 1).to(weights)).latent_dist.mean
        return self.scale(latents.float())

    @torch.no_grad()
    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map scaled latents to pictures, clipping what lies outside [0, 1]."""
        weights = next(self.vae.parameters())
        pixels = self.vae.decode(self.unscale(x0).to(weights)).sample
        return ((pixels.float() + 1) / 2).clamp(0, 1)

    def scale(self, latents: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Turn what the encoder gives into samples."""
        return (latents - self._shift) * self.vae.config.scaling_factor

    def unscale(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Turn samples into what the decoder takes."""
        return x0 / self.vae.config.scaling_factor + self._shift

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "VaeCodec":
        """Return a copy on `device` in `dtype`."""
        return replace(self, vae=copy.deepcopy(self.vae).to(device=device, dtype=dtype))

    @property
    def _shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0
