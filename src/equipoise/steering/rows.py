"""What every row of a call is given: strengths and masks are one a sample, rows may be two."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers.halves import Halves
from equipoise.denoisers.network_call import NetworkCall
from equipoise.errors import BadInputError

Strength = float | int | Sequence[float] | Float[Tensor, "..."]


@dataclass(frozen=True)
class Rows:
    """The running call: level, strengths and mask of every row; strength 0 where idle."""

    sigma: Float[Tensor, " row"]
    strengths: Float[Tensor, "vector row"]
    mask: Float[Tensor, "row 1 height width"] | None


def as_strengths(strength: Strength, vectors: int) -> Float[Tensor, "vector sample"]:
    """Bring strengths to one row a vector; one number a vector and sample, or one for all."""
    given = torch.as_tensor(strength, dtype=torch.float64)
    wide = given.reshape(1, -1) if given.ndim < 2 else given
    if given.ndim > 2 or len(wide) not in (1, vectors) or not bool(torch.isfinite(given).all()):
        raise BadInputError(
            f"A strength of shape {tuple(given.shape)} was given for {vectors} vector(s): finite "
            "numbers are allowed, one, one a sample, or (vector, sample)."
        )
    return wide.expand(vectors, -1)


def as_mask(mask: Float[Tensor, "*batch height width"]) -> Float[Tensor, "sample 1 height width"]:
    """Bring a mask to one a sample, or one for all."""
    wide = mask[None] if mask.ndim == 2 else mask
    if wide.ndim != 3 or not bool(((wide >= 0) & (wide <= 1)).all()):
        raise BadInputError(
            f"A mask of shape {tuple(mask.shape)} was given: (height, width) or (sample, height, "
            "width) with values in [0, 1] is allowed."
        )
    return wide[:, None].float()


def spread_over_rows(
    values: Float[Tensor, "sample ..."], call: NetworkCall, halves: Halves
) -> Float[Tensor, "row ..."]:
    """Give every row what its sample was given; one value is for all."""
    rows, count = len(call.sample), len(values)
    if count == 1:
        return values.expand(rows, *values.shape[1:])
    if halves.doubled and 2 * count == rows:
        return torch.cat([values, values])
    if count == rows:
        return values
    told = f"{rows} rows" + (", two for each sample" if halves.doubled else "")
    raise BadInputError(
        f"Strengths or masks were given for {count} samples, and the model was called with {told}."
        " Give one for all, or one for each picture of the call."
    )
