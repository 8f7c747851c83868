r"""What steering does to an activation h, in formulas; all of them leave h alone at strength 0.

With the vector v, the origin m (the mean without the concept), `u = v / |v|` along the channels,
and the coordinate `c = <h - m, u>` at every place:

    add          h + a v
    remove       h - a max(c, 0) u          m = 0 unless `affine`
    interpolate  h + a (|v| - c) u

Removal acts only where the concept is present. Interpolation moves the coordinate, and nothing
else, towards the point that one unit of the concept makes of the origin; it is there at a = 1.
"""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

Mode = Literal["add", "remove", "interpolate"]
MODES: tuple[Mode, ...] = get_args(Mode)


def find_change(
    h: Float[Tensor, "row ..."],
    vector: Float[Tensor, "row ..."],
    origin: Float[Tensor, "row ..."],
    strength: Float[Tensor, "row ..."],
    *,
    mode: Mode,
    affine: bool = False,
) -> Float[Tensor, "row ..."]:
    """Return what is added to an activation.

    Args:
        h: Activation, (row, channel, height, width), (row, token, unit) or (row, unit).
        vector: Of the same axes; an axis of 1 stands for all places.
        origin: Likewise.
        strength: One a row, with the axes of `h`.
        mode: See above.
        affine: Measure what is removed from the origin and not from zero.
    """
    if mode == "add":
        return strength * vector
    axis = 1 if h.ndim == 4 else -1
    length = vector.norm(dim=axis, keepdim=True)
    unit = vector / length.clamp(min=1e-12)  # no direction where the vector is zero
    start = 0 if mode == "remove" and not affine else origin
    coordinate = ((h - start) * unit).sum(dim=axis, keepdim=True)
    if mode == "remove":
        return -strength * coordinate.clamp(min=0) * unit
    return strength * (length - coordinate) * unit
