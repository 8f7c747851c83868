"""Fashion-MNIST, read from its four published gzip files, brought to a small size.

Source: Debian's package `dataset-fashion-mnist`, or any folder with the same files
(Xiao, Rasul, Vollgraf, 2017; MIT licence).
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from equipoise.errors import BadInputError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte.gz"}
CLASS_FILES = {"train": "train-labels-idx1-ubyte.gz", "test": "t10k-labels-idx1-ubyte.gz"}
CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
IMAGE_MAGIC = 2051
CLASS_MAGIC = 2049
HEADER_BYTES = 16
CLASS_HEADER_BYTES = 8


def read_images(split: str, folder: Path = DEBIAN_FOLDER) -> UInt8[Tensor, "case height width"]:
    """Read the 28 x 28 grey images of a split.

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        folder: Where the gzip files lie.

    Raises:
        BadInputError: when the file is missing or is not an IDX image file.
    """
    path = folder / FILES[split]
    raw = _read_file(path)
    magic, count, height, width = np.frombuffer(raw, ">i4", count=4)
    if magic != IMAGE_MAGIC or len(raw) != HEADER_BYTES + count * height * width:
        raise BadInputError(f'"{path}" is not an IDX file of images; fetch it again.')
    pixels = np.frombuffer(raw, np.uint8, offset=HEADER_BYTES).reshape(count, height, width)
    return torch.from_numpy(pixels.copy())


def read_classes(split: str, folder: Path = DEBIAN_FOLDER) -> Int[Tensor, " case"]:
    """Read the class of every image of a split, a position in `CLASSES`.

    Raises:
        BadInputError: when the file is missing or is not an IDX file of classes.
    """
    path = folder / CLASS_FILES[split]
    raw = _read_file(path)
    magic, count = np.frombuffer(raw, ">i4", count=2)
    if magic != CLASS_MAGIC or len(raw) != CLASS_HEADER_BYTES + count:
        raise BadInputError(f'"{path}" is not an IDX file of classes; fetch it again.')
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=CLASS_HEADER_BYTES).astype(int))


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


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise BadInputError(
            f'Fashion-MNIST was not found: no file "{path}". Install Debian\'s package '
            "dataset-fashion-mnist, or give the folder with its gzip files by --data."
        )
    return gzip.decompress(path.read_bytes())
