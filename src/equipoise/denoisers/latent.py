"""What the models on latents of an autoencoder share: sizes of samples and of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import BadInputError

Size = tuple[int, int]
"""Height and width of a picture, pixels."""


@dataclass(frozen=True)
class LatentShapes:
    """Channels, height and width of a sample and of the picture behind it."""

    sample: tuple[int, int, int]
    image: tuple[int, int, int]


def fit_shapes(
    vae: Any,  # noqa: ANN401 - diffusers is optional
    *,
    channels: int,
    default: int | Sequence[int],
    size: Size | None,
    patch: int = 1,
) -> LatentShapes:
    """Say which shapes samples and pictures of a size have.

    Args:
        vae: The autoencoder; halves the picture once less than it has levels.
        channels: Of a sample.
        default: Height and width of a sample, or one number for both, when no size is asked for.
        size: Height and width of the picture, pixels.
        patch: Latents that the network takes as one, each way.

    Raises:
        BadInputError: for a size that is not a whole number of patches.
    """
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    if size is None:
        height, width = (default, default) if isinstance(default, int) else default
    else:
        step = scale * patch
        if len(size) != 2 or any(side < step or side % step for side in size):
            raise BadInputError(
                f"This model cannot look at pictures of {' x '.join(map(str, size))} px: height "
                f"and width must be multiples of {step}."
            )
        height, width = (side // scale for side in size)
    return LatentShapes(
        (channels, height, width), (vae.config.in_channels, height * scale, width * scale)
    )
