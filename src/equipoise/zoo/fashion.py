"""Fashion-MNIST, read from its four published gzip files, brought to a small size.

Source: Debian's package `dataset-fashion-mnist`, or any folder with the same files
(Xiao, Rasul, Vollgraf, 2017; MIT licence).
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from equipoise.errors import BadInputError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte.gz"}
IMAGE_MAGIC = 2051
HEADER_BYTES = 16


def read_images(split: str, folder: Path = DEBIAN_FOLDER) -> UInt8[Tensor, "case height width"]:
    """Read the 28 x 28 grey images of a split.

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        folder: Where the gzip files lie.

    Raises:
        BadInputError: when the file is missing or is not an IDX image file.
    """
    path = folder / FILES[split]
    if not path.is_file():
        raise BadInputError(
            f'Fashion-MNIST was not found: no file "{path}". Install Debian\'s package '
            "dataset-fashion-mnist, or give the folder with its gzip files by --data."
        )
    raw = gzip.decompress(path.read_bytes())
    magic, count, height, width = np.frombuffer(raw, ">i4", count=4)
    if magic != IMAGE_MAGIC or len(raw) != HEADER_BYTES + count * height * width:
        raise BadInputError(f'"{path}" is not an IDX file of images; fetch it again.')
    pixels = np.frombuffer(raw, np.uint8, offset=HEADER_BYTES).reshape(count, height, width)
    return torch.from_numpy(pixels.copy())


def shrink(
    images: UInt8[Tensor, "case height width"], size: int
) -> UInt8[Tensor, "case channel size size"]:
    """Resize to `size` px by Pillow's antialiased Lanczos filter, with one channel axis."""
    resized = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
        for image in images.numpy()
    ]
    return torch.from_numpy(np.stack(resized))[:, None]


def content_hash(images: UInt8[Tensor, "..."]) -> str:
    """Hash shape and pixels, for cards."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(images.contiguous().numpy().data)
    return digest.hexdigest()
