"""A preconditioned network on pixels: what EDM's snapshots hold."""

import copy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.preconditioning import Preconditioning
from equipoise.errors import BadInputError


@dataclass(frozen=True)
class PreconditionedDenoiser:
    """A raw network with one of the four preconditionings, with or without classes.

    A condition is one weight a class, (batch, class), or the numbers of classes, (batch,). The
    empty condition has no class: all weights zero.

    Args:
        network: `F(x, c_noise, class weights)`; channels beyond the picture's are left out.
        preconditioning: Column of the table.
        sample_shape: Channels, height, width.
        num_classes: Number of classes; 0 for none.
        default_sites: Sites to look at when nobody chose others.
    """

    network: nn.Module
    preconditioning: Preconditioning
    sample_shape: tuple[int, ...]
    num_classes: int
    default_sites: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one picture: that of a sample."""
        return self.sample_shape

    @property
    def data_std(self) -> float:
        """Standard deviation of the training data, in data units."""
        return self.preconditioning.data_std

    def denoise(
        self,
        x: Float[Tensor, "batch channel height width"],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch channel height width"]:
        """Estimate `E[x0 | x]` (Karras et al. 2022, Eq. 7).

        Raises:
            BadInputError: for a condition that is none of this model's.
        """
        weights = next(self.network.parameters())
        c = self.preconditioning.coefficients(sigma.float())
        given = (per_sample(c.c_in, x) * x.float()).to(weights.dtype)
        classes = self._read_condition(cond, len(x))
        F_x = self.network(given, c.c_noise, classes)[:, : x.shape[1]]
        D_x = per_sample(c.c_skip, x) * x.float() + per_sample(c.c_out, x) * F_x.float()
        return D_x.to(x.dtype)

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level that the model was trained on."""
        return self.preconditioning.snap(sigma)

    def null_condition(self, batch: int) -> Tensor | None:
        """Return the empty condition for `batch` samples; None for a model without classes."""
        if not self.num_classes:
            return None
        return torch.zeros(batch, self.num_classes, device=next(self.network.parameters()).device)

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [0, 1] to [-1, 1]."""
        return 2 * images - 1

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map [-1, 1] to [0, 1], clipping what lies outside."""
        return ((x0 + 1) / 2).clamp(0, 1)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "PreconditionedDenoiser":
        """Return a copy on `device` in `dtype`; the original is left as it was."""
        return replace(self, network=copy.deepcopy(self.network).to(device=device, dtype=dtype))

    def _read_condition(self, cond: Tensor | None, batch: int) -> Tensor | None:
        if cond is None:
            return self.null_condition(batch)
        if self.num_classes and cond.ndim == 1 and not cond.is_floating_point():
            return functional.one_hot(cond, self.num_classes).float()
        if not self.num_classes or cond.shape != (batch, self.num_classes):
            raise BadInputError(
                f"A condition of shape {tuple(cond.shape)} was given to a model of "
                f"{self.num_classes} classes. Give the numbers of classes, or one weight a class, "
                f"({batch}, {self.num_classes}); nothing for a model without classes."
            )
        return cond.float()
