r"""Principal components of small patches: the latents of a text-to-image model of the zoo.

    z = W (p - mean),   W = diag(sqrt(s_k))^-1 V^T / c

where `p` are the pixels of a patch in [-1, 1], the columns of `V` the directions of largest
variance of patches, and `s_k` the standard deviations along them. Dividing by `sqrt(s_k)` goes
half the way to whitening: fine detail is neither lost under the noise at which a picture is
composed, nor as loud as what the picture is composed of. `c` makes the mean square of all latents
one, so that they need no scaling factor.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import BadInputError

PATCH = 4  # px


@dataclass(frozen=True)
class PatchBasis:
    """The affine map of a patch to its latents."""

    mean: Float64[Tensor, " pixel"]
    """Mean patch, ordered channel, row, column; values in [-1, 1]."""
    weights: Float64[Tensor, "latent pixel"]
    """`W`."""

    def project(
        self, pictures: UInt8[Tensor, "case channel height width"]
    ) -> Float64[Tensor, "case latent row column"]:
        """Return the latents of pictures by the formula, patch by patch."""
        rows = pictures.shape[-2] // PATCH
        latents = (_cut_patches(pictures) - self.mean) @ self.weights.T
        return latents.transpose(1, 2).unflatten(2, (rows, -1))


def fit_patch_basis(
    pictures: UInt8[Tensor, "case channel height width"], num_latents: int
) -> PatchBasis:
    """Find the directions of largest variance of all `PATCH` x `PATCH` patches.

    Args:
        pictures: What the patches are cut from; sides are multiples of `PATCH`.
        num_latents: Directions to keep.

    Raises:
        BadInputError: when the patches vary along fewer directions.
    """
    patches = _cut_patches(pictures).flatten(0, 1)
    mean = patches.mean(dim=0)
    variances, directions = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    variances, directions = variances.flip(0)[:num_latents], directions.flip(1)[:, :num_latents]
    if len(variances) < num_latents or variances[-1] <= 0:
        raise BadInputError(
            f"Cannot keep {num_latents} directions: the patches of {len(pictures)} pictures vary "
            f"along {int((variances > 0).sum())}. Keep fewer, or give more pictures."
        )
    # An eigenvector's sign is the library's choice; this one is ours.
    directions = directions * directions.sum(dim=0).sign()
    std = variances.sqrt()
    return PatchBasis(mean, (directions / std.sqrt()).T / std.mean().sqrt())


def _cut_patches(pictures: Tensor) -> Float[Tensor, "case patch pixel"]:
    return F.unfold(pictures.float() / 127.5 - 1, PATCH, stride=PATCH).transpose(1, 2).double()
