"""References: the pictures that show a concept, from a tensor, a folder, a list or a file."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.images import as_unit, list_pictures, read_picture

References = Float[Tensor, "..."] | str | Path


def read_references(source: References, shape: tuple[int, ...]) -> Float[Tensor, "case ..."]:
    """Return pictures with values in [0, 1], in the shape (channel, height, width).

    Args:
        source: Such pictures already; or a folder of pictures, a list of paths (.txt), or one
            picture, all of which must be readable.
        shape: Shape of one picture.

    Raises:
        BadInputError: when there is no picture.
        UnreadablePictureError: when one cannot be read.
    """
    if isinstance(source, Tensor):
        return source
    entries = list_pictures(Path(source)).entries
    return as_unit(torch.stack([read_picture(entry.content, shape).pixels for entry in entries]))
