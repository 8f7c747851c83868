"""Read pictures of unknown origin, by one rule, without running or trusting what is in them.

Formats: PNG, JPEG, WebP, GIF, BMP, TIFF, told by their content. The size is checked before any
pixel is decoded. The first frame is taken, the EXIF orientation applied, alpha laid over black,
16-bit values scaled to 8 bits, colours brought to grey (ITU-R 601 luma) or RGB as the model
wants, and the whole picture resized to the model's size by an antialiased Lanczos filter.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from equipoise.errors import BadInputError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 64_000_000
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_picture(path: Path, shape: tuple[int, ...]) -> UInt8[Tensor, "channel height width"]:
    """Read one picture and bring it to (channel, height, width), with 1 or 3 channels.

    Raises:
        BadInputError: when the file is no picture of an allowed format, is damaged or too large.
    """
    channels, height, width = shape
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadInputError(
                    f'"{path}" has {image.width} x {image.height} px; at most {MAX_PIXELS:,} '
                    "pixels are read. Make it smaller."
                )
            plain = _flatten(ImageOps.exif_transpose(image))
            mode = "L" if channels == 1 else "RGB"
            resized = plain.convert(mode).resize((width, height), Image.Resampling.LANCZOS)
    except BadInputError:
        raise
    # What Pillow raises on damage; UnidentifiedImageError is an OSError.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadInputError(
            f'"{path}" cannot be read as a picture ({type(error).__name__}). Allowed: '
            f"{', '.join(FORMATS)}."
        ) from error
    pixels = np.asarray(resized).reshape(height, width, channels)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()


def read_folder(
    folder: Path, shape: tuple[int, ...]
) -> UInt8[Tensor, "case channel height width"]:
    """Read all pictures below a folder, in the order of their paths.

    Raises:
        BadInputError: when the folder holds no picture, or one that cannot be read.
    """
    if not folder.is_dir():
        raise BadInputError(f'"{folder}" is not a folder; give one with pictures in it.')
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise BadInputError(f'"{folder}" holds no picture ({", ".join(SUFFIXES)}).')
    return torch.stack([read_picture(path, shape) for path in paths])


def _flatten(image: Image.Image) -> Image.Image:
    """Scale 16-bit values to 8 bits and lay transparent pictures over black."""
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray(
            (np.asarray(image, dtype=np.int64) // 257).clip(0, 255).astype(np.uint8)
        )
    if "A" in image.getbands() or "transparency" in image.info:
        colour = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colour.size, (0, 0, 0, 255)), colour)
    return image
