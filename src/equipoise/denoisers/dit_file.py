"""Build a denoiser of an official DiT file (`.pt`): released weights or a training checkpoint.

Everything but the number of attention heads shows in the shapes of the weights. A wrong number
loads without complaint and answers nonsense, so widths that were never published must say it.
"""

import re
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from equipoise.denoisers.codec import Codec, NoCodec, PixelCodec, VaeCodec
from equipoise.denoisers.dit import list_late_blocks
from equipoise.denoisers.filling import fill
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.peebles import PeeblesDiT, PeeblesSpec
from equipoise.denoisers.preconditioning import PIXEL_STD
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError

HEADS = {1152: 16, 1024: 16, 768: 12, 384: 6}
"""Attention heads of the published sizes XL, L, B and S, by their width."""
LATENT_CHANNELS = 4
LATENT_SCALE = 8
MARK = "x_embedder.proj.weight"
"""A tensor that every DiT file has."""


def build_dit_file(
    tensors: dict[str, Tensor],
    *,
    heads: int | None = None,
    vae: Any = None,  # noqa: ANN401 - diffusers is optional
) -> TimedDenoiser:
    """Make a denoiser of the weights of an official DiT.

    Args:
        tensors: Weights by their official names.
        heads: Attention heads; known for the published widths.
        vae: `AutoencoderKL` of its latents. Without one the denoiser works on latents, and
            neither encodes nor decodes pictures.

    Raises:
        BadInputError: when the weights are no DiT's, or `heads` is needed or wrong.
        NonFiniteError: when a weight is NaN or infinite.
    """
    spec = read_spec(tensors, heads)
    with torch.device("meta"):
        network = PeeblesDiT(spec)
    fill(network, tensors)
    side = spec.grid * spec.patch
    latent = spec.channels == LATENT_CHANNELS
    scale = LATENT_SCALE if latent else 1
    codec: Codec = PixelCodec()
    if latent:
        codec = NoCodec() if vae is None else VaeCodec(vae)
    return TimedDenoiser(
        network=network,
        call=_call,
        prediction="eps",
        grid=NoiseGrid.from_alphas(_build_schedule()),
        codec=codec,
        empty=torch.tensor([spec.classes - 1]),
        sample_shape=(spec.channels, side, side),
        image_shape=(3 if latent else spec.channels, side * scale, side * scale),
        data_std=1.0 if latent else PIXEL_STD,
        default_sites=tuple(f"blocks.{b}.mlp.fc2:in" for b in list_late_blocks(spec.depth)),
    )


def read_spec(tensors: dict[str, Tensor], heads: int | None) -> PeeblesSpec:
    """Read the shape of a DiT from the shapes of its weights.

    Raises:
        BadInputError: when they are no DiT's, or the number of heads is not known.
    """
    try:
        width, channels, patch, _ = tensors[MARK].shape
        tokens = tensors["pos_embed"].shape[1]
        rows = len(tensors["y_embedder.embedding_table.weight"])
        hidden = len(tensors["blocks.0.mlp.fc1.weight"])
        answers = len(tensors["final_layer.linear.weight"])
    except (KeyError, ValueError, IndexError) as error:
        raise BadInputError(
            f"The weights are not those of a DiT: {error} is missing or has another shape."
        ) from error
    numbers = {int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d{1,4})\.", name))}
    chosen = heads or HEADS.get(width)
    if chosen is None or width % chosen:
        raise BadInputError(
            f"The weights do not show how many attention heads a DiT of width {width} has"
            + (f", and {chosen} do not divide it. " if chosen else ". ")
            + f"Give heads=N; published: {', '.join(f'{w}: {n}' for w, n in HEADS.items())}."
        )
    try:
        return PeeblesSpec(
            channels=channels,
            out_channels=answers // patch**2,
            grid=round(tokens**0.5),
            patch=patch,
            width=width,
            depth=len(numbers),
            heads=chosen,
            hidden=hidden,
            classes=rows,
        )
    except ValidationError as error:
        raise BadInputError(
            f"The weights describe a DiT of impossible size: {error.error_count()} number(s) are "
            "out of range."
        ) from error


def _build_schedule() -> Tensor:
    """Return `alphas_cumprod` of the linear schedule that every official DiT was trained on."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    return (1 - betas).cumprod(0)


def _call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    # A model that learned its variance gives it in the channels behind.
    return network(z, time, cond)[:, : z.shape[1]]
