"""Heat maps as small pictures.

A heat map is drawn over what the model saw: the picture in grey, and over it the places that
raise the score, the stronger the more opaque; each picture has its own scale.
"""

import io

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

SIDE = 64  # px, of the longer side
WARM = (242, 110, 30)
DIMMED = 0.75
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def draw_heat(
    picture: UInt8[Tensor, "channel height width"], part: Float[Tensor, "height width"]
) -> bytes:
    """Draw a heat map over its picture, as a PNG of at most 64 px a side.

    Args:
        picture: What the model saw.
        part: Part of the score a pixel; what lowers it is not drawn.
    """
    height, width = picture.shape[1:]
    factor = SIDE / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    grey = F.interpolate(_as_grey(picture)[None, None], size, mode="nearest-exact")[0, 0]
    heat = F.interpolate(part.float()[None, None], size, mode="bilinear", antialias=True)[0, 0]
    opacity = (heat.clamp(min=0) / heat.max().clamp(min=1e-12)).sqrt()[..., None]
    colours = (1 - opacity) * DIMMED * grey[..., None] + opacity * torch.tensor(WARM)
    buffer = io.BytesIO()
    Image.fromarray(colours.round().clamp(0, 255).byte().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def _as_grey(picture: UInt8[Tensor, "channel height width"]) -> Float[Tensor, "height width"]:
    if len(picture) != len(LUMA):
        return picture[0].float()
    return (picture.float() * torch.tensor(LUMA)[:, None, None]).sum(dim=0)
