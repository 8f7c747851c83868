"""The steered activation of a site: vectors, mask and strengths brought to its shape and rows."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from equipoise.errors import BadInputError, CaptureError
from equipoise.steering.arithmetic import Mode, find_change
from equipoise.steering.rows import Rows
from equipoise.steering.vector import ConceptVector


def steer_activation(
    h: Float[Tensor, "row ..."],
    site: str,
    rows: Rows,
    vectors: Sequence[ConceptVector],
    *,
    mode: Mode,
    affine: bool,
) -> Float[Tensor, "row ..."]:
    """Return a changed copy of an activation; rows of strength 0 are left alone bit for bit.

    Raises:
        BadInputError: when a vector or the mask does not fit the activation.
        CaptureError: when it cannot be said which row belongs to which sample.
    """
    if len(h) != len(rows.sigma):
        raise CaptureError(
            f'At "{site}" there are {len(h)} rows for {len(rows.sigma)} samples: it cannot be '
            "said which belongs to which. Steer at another site."
        )
    whole = h.float() if h.dtype in (torch.float16, torch.bfloat16) else h
    change = torch.zeros_like(whole)
    for vector, strength in zip(vectors, rows.strengths, strict=True):
        if site in vector.tensors:
            change = change + find_change(
                whole, *_take_levels(vector, site, rows.sigma, whole),
                _as_column(strength.to(whole), h.ndim), mode=mode, affine=affine,
            )  # fmt: skip
    if rows.mask is not None:
        change = change * _fit_mask(rows.mask, site, whole)
    active = (rows.strengths != 0).any(dim=0).to(h.device)
    return torch.where(_as_column(active, h.ndim), (whole + change).to(h.dtype), h)


def _take_levels(
    vector: ConceptVector, site: str, sigma: Float[Tensor, " row"], h: Tensor
) -> tuple[Tensor, Tensor]:
    """Return vector and origin for every row, at the nearest level, with the axes of `h`."""
    levels = sigma.new_tensor(vector.record.sigmas).log()
    nearest = (sigma.log()[:, None] - levels).abs().argmin(dim=1)
    pair = []
    for tensor in (vector.tensors[site], vector.origins[site]):
        rows = tensor.to(h)[nearest.to(h.device)]
        if rows.ndim == 2 and h.ndim == 4:
            rows = rows[:, :, None, None]
        elif rows.ndim == 2 and h.ndim == 3:
            rows = rows[:, None]
        if rows.ndim != h.ndim or any(
            one not in (1, two) for one, two in zip(rows.shape, h.shape, strict=True)
        ):
            raise BadInputError(
                f'At "{site}" the vector has the shape {tuple(tensor.shape[1:])} and the '
                f"activation {tuple(h.shape[1:])}. A per-position vector is for one size of "
                'picture; make a "pooled" one.'
            )
        pair.append(rows)
    return pair[0], pair[1]


def _fit_mask(mask: Float[Tensor, "row 1 height width"], site: str, h: Tensor) -> Tensor:
    """Bring a mask to the size of a site."""
    if h.ndim == 4:
        return functional.adaptive_avg_pool2d(mask, (h.shape[2], h.shape[3])).to(h)
    side = math.isqrt(h.shape[1]) if h.ndim == 3 else 0
    if h.ndim != 3 or side**2 != h.shape[1]:
        raise BadInputError(
            f'A mask has no meaning at "{site}": its shape {tuple(h.shape[1:])} is neither a map '
            "nor a square of tokens. Steer at another site, or without a mask."
        )
    return functional.adaptive_avg_pool2d(mask, (side, side)).flatten(1)[..., None].to(h)


def _as_column(values: Tensor, ndim: int) -> Tensor:
    """Give one value a row the axes of an activation."""
    return values.reshape(-1, *[1] * (ndim - 1))
