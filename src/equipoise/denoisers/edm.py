r"""EDM preconditioning: a raw network `F` becomes a denoiser `D`.

    D(x; sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x; c_noise(sigma))

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    Table 1, column "Ours" | arXiv 2206.00364
"""

import copy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn


def per_sample(value: Float[Tensor, " batch"], like: Tensor) -> Tensor:
    """Give a value a sample the axes it needs to broadcast over `like`."""
    return value.reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class EdmDenoiser:
    """An unconditional EDM denoiser on pixels.

    Args:
        network: `F(x, c_noise)`, same shape in and out.
        sample_shape: Channels, height, width.
        data_std: `sigma_data`, the standard deviation of the training data in data units.
        default_sites: Sites to look at when nobody chose others.
    """

    network: nn.Module
    sample_shape: tuple[int, ...]
    data_std: float
    default_sites: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one picture: that of a sample."""
        return self.sample_shape

    def denoise(
        self,
        x: Float[Tensor, "batch channel height width"],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch channel height width"]:
        """Estimate `E[x0 | x]` (Karras et al. 2022, Eq. 7)."""
        dtype = next(self.network.parameters()).dtype
        total = (sigma**2 + self.data_std**2).sqrt()
        # Table 1, "Network and preconditioning"
        c_skip = per_sample(self.data_std**2 / total**2, x)
        c_out = per_sample(sigma * self.data_std / total, x)
        c_in = per_sample(1 / total, x)
        c_noise = sigma.log() / 4
        model_input = (c_in * x).to(dtype, memory_format=torch.channels_last)
        F_x = self.network(model_input, c_noise).to(x.dtype)
        return c_skip * x + c_out * F_x

    def snap(self, sigma: float) -> float:
        """Return `sigma`: every noise level is known."""
        return sigma

    def null_condition(self, batch: int) -> None:
        """Return None: the model is unconditional."""

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [0, 1] to [-1, 1]."""
        return 2 * images - 1

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [-1, 1] to [0, 1], clipping what lies outside."""
        return ((x0 + 1) / 2).clamp(0, 1)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "EdmDenoiser":
        """Return a copy on `device` in `dtype`; the original is left as it was."""
        network = copy.deepcopy(self.network).to(device=device, dtype=dtype)
        return replace(self, network=network)
