"""Read pictures of unknown origin, by one rule, without running or trusting what is in them.

The rule (`RULE` is its record):

- *Formats*: PNG, JPEG, WebP, GIF, BMP, TIFF, told by the content and never by the name. No other
  reader is tried: PostScript would start Ghostscript.
- *Size*: at most 64,000,000 pixels, 65,535 a side and 1 GiB of file, checked before any pixel is
  decoded. The largest picture needs about 1 GB while it is read; pictures of more than
  16,000,000 pixels are therefore read one at a time, whatever the number of threads.
- *Damage*: a file that ends early or contradicts itself is refused, never half shown. Damaged
  metadata beside sound pixels is passed over.
- *Frame*: the first one of an animation or of several pages.
- *Orientation*: as EXIF (or XMP) says; a picture then has the pixels it is seen with.
- *Transparency*: laid over black, in the stored values: each colour times its alpha.
- *16 bits*: grey values are divided by 257 to the nearest of 0..255, so that 65,535 becomes 255
  and nothing is clipped; a 16-bit TIFF in which 0 is white is inverted. Colours of 16 bits
  arrive here as their upper 8 bits: Pillow reads no more.
- *32 bits, floating point* (modes "I" and "F"): refused. Which value is white is not in the
  file, and a guess would make scores of something nobody has seen.
- *Colours*: inks (CMYK), palettes and YCbCr become RGB; colour profiles are ignored. A model of
  one channel gets the ITU-R 601 luma, taken after resizing.
- *Model's size*: the whole picture, its aspect not kept, by an antialiased Lanczos filter over
  all pixels. The short cuts of decoders (JPEG drafts, reduction beforehand) would make the pixels
  depend on the format and are used for the thumbnail only.

What Python code of Pillow warns of while it reads is kept from the user. The C library behind
compressed TIFFs may still write a line of its own on standard error about a damaged one.

Pixels in, pixels out: reading is a function of the file's bytes, in any thread and any order.
Which files there are is told by `listing`.
"""

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from torch import Tensor

from equipoise.errors import UnreadablePictureError
from equipoise.images.listing import Content, show_path
from equipoise.images.remote import RemoteFile
from equipoise.images.shard import explain
from equipoise.images.silence import SILENCE

# Importing a plugin registers its format; with these six no other one has to be loaded.
_PLUGINS = (
    PngImagePlugin, JpegImagePlugin, WebPImagePlugin, GifImagePlugin, BmpImagePlugin,
    TiffImagePlugin,
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000
# The first pass of the resize keeps the height: without this limit a picture one pixel wide
# would need its height times the model's width.
MAX_SIDE = 65_535
MAX_BYTES = 2**30
LARGE_PIXELS = 16_000_000
THUMBNAIL_SIDE = 64
RULE: dict[str, str | int] = {
    "formats": " ".join(FORMATS) + ", by content",
    "max_pixels": MAX_PIXELS,
    "max_side": MAX_SIDE,
    "max_bytes": MAX_BYTES,
    "frame": "first",
    "orientation": "EXIF, applied",
    "background": "black",
    "sixteen_bit": "grey: value / 257 to the nearest; colour: upper 8 bits",
    "thirty_two_bit": "refused",
    "colour": "RGB, profiles ignored",
    "grey": "ITU-R 601 luma, after resizing",
    "resize": "Lanczos, antialiased, 8 bit",
    "aspect": "not kept: the whole picture at the model's size",
}
"""How a picture is read, in words; stands in the record of every run that reads pictures."""
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_WIDE = ("I", "F")
_ROWS = 256  # of 16-bit pixels widened at a time
_MODES = {1: "L", 3: "RGB"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A picture as the model gets it, and what its file was."""

    pixels: UInt8[Tensor, "channel height width"]
    """By the rule above, at the model's shape."""
    thumbnail: bytes
    """PNG in RGB of the whole picture, at most 64 px a side, never enlarged, no metadata."""
    width: int
    """Of the file, in px, upright."""
    height: int
    """Of the file, in px, upright."""
    mode: str
    """Pillow's name of the pixels in the file, as "CMYK"."""
    format: str
    """One of `FORMATS`."""


class _RefusedError(Exception):
    """Why a file is refused, without its path."""


_ONE_LARGE = threading.Lock()


def read_picture(content: Content, shape: tuple[int, ...]) -> Picture:
    """Read one picture and bring it to (channel, height, width), with 1 or 3 channels.

    Args:
        content: File, file behind a URL, or the bytes of one.
        shape: What the model takes.

    Raises:
        UnreadablePictureError: when the file is no picture of an allowed format, is damaged or
            too large; its `reason` says which.
    """
    try:
        with SILENCE, _open(content) as file:
            return _read(file, shape)
    except _RefusedError as refusal:
        raise UnreadablePictureError(
            f'"{_name(content)}" cannot be read as a picture: {refusal}. Allowed: '
            f"{', '.join(FORMATS)} of at most {MAX_PIXELS:,} px. Save it anew or leave it out.",
            reason=str(refusal),
        ) from refusal.__cause__


@contextmanager
def _open(content: Content) -> Iterator[io.BufferedIOBase]:
    if isinstance(content, Path):
        with _open_regular(content) as file:
            yield file
        return
    held = content if isinstance(content, bytes) else _fetch(content)
    _check_bytes(len(held))
    yield io.BytesIO(held)


def _fetch(remote: RemoteFile) -> bytes:
    """Fetch a file behind a URL, not more of it than is allowed."""
    if remote.size is not None:
        _check_bytes(remote.size)
    try:
        with remote.open() as file:
            return file.read(MAX_BYTES + 1)
    except Exception as error:  # every back end has its own
        raise _RefusedError(f"cannot be fetched: {explain(error)}") from error


def _check_bytes(count: int) -> None:
    if count > MAX_BYTES:
        raise _RefusedError(f"{count:,} bytes, over the limit of {MAX_BYTES:,}")


def _name(content: Content) -> str:
    if isinstance(content, bytes):
        return f"{len(content)} bytes"
    return show_path(content if isinstance(content, Path) else content.path)


@contextmanager
def _open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file; anything else is refused without waiting for it."""
    try:
        file = open(path, "rb", opener=_open_at_once)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _RefusedError(f"cannot be opened: {why}") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("not a regular file")
        _check_bytes(status.st_size)
        yield file


def _open_at_once(path: str, flags: int) -> int:
    # A FIFO that took the file's place since it was listed would block.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: io.BufferedIOBase, shape: tuple[int, ...]) -> Picture:
    channels, height, width = shape
    wanted = _MODES[channels]
    image = _identify(file)
    _check_size(image)
    name, mode = _format_name(image), image.mode
    large = image.width * image.height > LARGE_PIXELS
    with _ONE_LARGE if large else nullcontext(), _told_as_damage(name):
        image.load()
        plain = _flatten(_turn_upright(image))
        del image  # the decoded picture, if `plain` is a copy of it
        small = _drop_alpha(plain.resize((width, height), Image.Resampling.LANCZOS))
        pixels = np.array(small.convert(wanted)).reshape(height, width, channels)
        return Picture(
            torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
            _draw_thumbnail(plain),
            *plain.size,
            mode,
            name,
        )


def _identify(file: io.BufferedIOBase) -> ImageFile.ImageFile:
    """Read the head of a picture.

    As `Image.open` does, but it would refuse the largest pictures without telling their size.
    The file's name is kept from Pillow, which would map an uncompressed one into memory: a file
    that shrinks meanwhile would then end the process.
    """
    try:
        prefix = file.read(16)
    except OSError as error:
        raise _RefusedError(f"cannot be read: {explain(error)}") from error
    if not prefix:
        raise _RefusedError("empty file")
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(prefix) is True:
            file.seek(0)
            with _told_as_damage(name):
                return factory(cast("IO[bytes]", file), "")
    raise _RefusedError("not a picture of an allowed format")


def _format_name(image: ImageFile.ImageFile) -> str:
    # Phones append further pictures to a JPEG; Pillow calls that MPO.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _check_size(image: Image.Image) -> None:
    """Refuse what is too large, or of values without a known range, before it is decoded."""
    size = f"{image.width} x {image.height} px"
    if image.width * image.height > MAX_PIXELS:
        raise _RefusedError(f"{size}, over the limit of {MAX_PIXELS:,}")
    if max(image.size) > MAX_SIDE:
        raise _RefusedError(f"{size}, over the limit of {MAX_SIDE:,} a side")
    if min(image.size) < 1:
        raise _RefusedError(f"{size}, no pixel at all")
    if image.mode in _WIDE:
        raise _RefusedError(
            f'values of 32 bits (mode "{image.mode}"), whose white is not known; '
            "save it with 8 or 16 bits"
        )


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    """Tell whatever a decoder raises as damage of the file.

    Pillow promises no type: among what hostile files raise are OSError, SyntaxError, EOFError,
    struct.error, IndexError, KeyError, TypeError, OverflowError, zlib.error and RuntimeError.
    """
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _RefusedError(f"over the limit of {MAX_PIXELS:,} px") from error
    except MemoryError as error:
        raise _RefusedError(f"{name} that needs more memory than there is") from error
    except Exception as error:
        raise _RefusedError(f"damaged {name}: {explain(error)}") from error


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # of any type, as above; metadata says nothing about the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    """Bring any mode to L, RGB or RGBa, whose colours are multiplied by their alpha.

    Over black that product is the composite; and as it is linear, it may be resized first.
    """
    if image.mode in _SIXTEEN_BIT:
        return _scale_sixteen_bit(image)
    if image.has_transparency_data:
        colour = image if image.mode in ("RGBA", "RGBa") else image.convert("RGBA")
        return colour if colour.mode == "RGBa" else colour.convert("RGBa")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scale_sixteen_bit(image: Image.Image) -> Image.Image:
    """Divide by 257 to the nearest, a few rows at a time to spare memory."""
    grey = Image.new("L", image.size)
    transparent = image.info.get("transparency")
    white_is_zero = getattr(image, "tag_v2", {}).get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    inverted = white_is_zero == 0
    for top in range(0, image.height, _ROWS):
        box = (0, top, image.width, min(top + _ROWS, image.height))
        values = np.asarray(image.crop(box)).astype(np.uint32)
        eight = ((values + 128) // 257).astype(np.uint8)
        if transparent is not None:
            eight[values == transparent] = 0
        grey.paste(Image.fromarray(255 - eight if inverted else eight), box)
    return grey


def _drop_alpha(image: Image.Image) -> Image.Image:
    return Image.merge("RGB", image.split()[:3]) if image.mode == "RGBa" else image


def _draw_thumbnail(plain: Image.Image) -> bytes:
    scale = min(1.0, THUMBNAIL_SIDE / max(plain.size))
    width, height = (max(1, round(side * scale)) for side in plain.size)
    small = plain.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # Through an array, which carries no profile, text or transparency of the file along.
    colour = Image.fromarray(np.asarray(_drop_alpha(small).convert("RGB")))
    buffer = io.BytesIO()
    colour.save(buffer, "PNG")
    return buffer.getvalue()
