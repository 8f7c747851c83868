"""From pictures to the samples a model denoises, and back."""

import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.placement import find_device, find_dtype
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

    The mean of the encoder is taken, not a draw: a score then depends on the picture alone. An
    autoencoder with a batch norm (FLUX.2's) makes a sample of squares of four latents, brought to
    mean 0 and variance 1 by its running moments; any other has a factor and a shift for all.
    """

    vae: Any

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map pictures to scaled latents."""
        latents = self.vae.encode(self._place(2 * images - 1)).latent_dist.mean
        return self.scale(latents.float())

    @torch.no_grad()
    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map scaled latents to pictures, clipping what lies outside [0, 1]."""
        pixels = self.vae.decode(self._place(self.unscale(x0))).sample
        return ((pixels.float() + 1) / 2).clamp(0, 1)

    def scale(self, latents: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Turn what the encoder gives into samples."""
        if hasattr(self.vae, "bn"):
            mean, std = self._get_moments(latents)
            return (nn.functional.pixel_unshuffle(latents, 2) - mean) / std
        return (latents - self._shift) * self.vae.config.scaling_factor

    def unscale(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Turn samples into what the decoder takes."""
        if hasattr(self.vae, "bn"):
            mean, std = self._get_moments(x0)
            return nn.functional.pixel_shuffle(x0 * std + mean, 2)
        return x0 / self.vae.config.scaling_factor + self._shift

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "VaeCodec":
        """Return a copy on `device` in `dtype`."""
        return replace(self, vae=copy.deepcopy(self.vae).to(device=device, dtype=dtype))

    def _place(self, numbers: Tensor) -> Tensor:
        return numbers.to(find_device(self.vae), find_dtype(self.vae))

    def _get_moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        norm = self.vae.bn
        std = (norm.running_var + self.vae.config.batch_norm_eps).sqrt()
        return norm.running_mean.to(like)[:, None, None], std.to(like)[:, None, None]

    @property
    def _shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0
