"""8-bit pictures: values, and identity by a hash of the bytes, which also keys the noise."""

import hashlib

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def content_id(image: UInt8[Tensor, "..."]) -> str:
    """Hash shape and pixels: 32 hexadecimal digits, equal for equal pictures."""
    digest = hashlib.blake2b(str(tuple(image.shape)).encode(), digest_size=16)
    digest.update(image.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def content_ids(images: UInt8[Tensor, "case ..."]) -> list[str]:
    """Hash every picture."""
    return [content_id(image) for image in images]


def quantize(images: Float[Tensor, "case ..."]) -> UInt8[Tensor, "case ..."]:
    """Bring images with values in [0, 1] to 8 bits, as a saved picture would be."""
    return (images.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8)


def as_unit(pictures: UInt8[Tensor, "case ..."]) -> Float[Tensor, "case ..."]:
    """Bring 8-bit pictures to values in [0, 1]."""
    return pictures.to(torch.float32) / 255
