r"""A small `AutoencoderKL` whose encoder is written down and whose decoder is trained.

The encoder maps every patch to its principal components (`patch_basis.py`), so that latents are
known before anything is trained, and depend on no training of their own. It is written into the
stock architecture of diffusers, which is not linear, by two identities:

    silu(h) - silu(-h) = h,        h / std(group) = const . h (1 + O(h^2 / C^2))

the second for a group of channels that holds h, -h, C and -C with C far above every h: the group
normalization then divides by a constant. Every latent goes through the last activation as such a
pair. Strided convolutions collect the pixels of a patch; all residual branches are zero.

The decoder starts by handing the latents through from level to level, which leaves it to learn
from the first step what a patch looks like, and not first to let anything pass.
"""

from itertools import product
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from equipoise.errors import BadInputError
from equipoise.zoo.patch_basis import PATCH, PatchBasis

GROUPS = 4
CONSTANT = 64.0
"""C; latents have a root mean square of 1, so the normalization is constant to about 0.1 %."""
LOG_VARIANCE = -16.0
"""Of the encoder's posterior: a draw from it is its mean."""
FOLD = 2
"""What a level folds: two levels make a patch."""


def build_autoencoder(basis: PatchBasis, *, channels: tuple[int, int, int]) -> nn.Module:
    """Build an `AutoencoderKL` with the encoder of a basis and an untrained decoder.

    The decoder's weights come from torch's global random state.

    Args:
        basis: What the encoder computes, of RGB patches.
        channels: Width of the levels, finest first. The first holds the 12 numbers of 2 x 2 RGB
            pixels, the last `GROUPS` groups with their pairs.

    Raises:
        BadInputError: when diffusers is missing, or a level is too narrow.
    """
    num_latents = len(basis.weights)
    _check_widths(channels, num_latents)
    try:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    except ImportError as error:
        raise BadInputError(
            'An autoencoder needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    words: dict[str, Any] = {  # diffusers' types allow one level only
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
    }
    vae: Any = AutoencoderKL(
        latent_channels=num_latents,
        layers_per_block=1,
        norm_num_groups=GROUPS,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        **words,
    )
    write_encoder(vae, basis)
    _open_decoder(vae, num_latents)
    return vae


@torch.no_grad()
def write_encoder(vae: Any, basis: PatchBasis) -> None:  # noqa: ANN401 - diffusers is optional
    """Write the map of a basis into the encoder of an `AutoencoderKL`."""
    encoder, num_latents = vae.encoder, len(basis.weights)
    _clear(encoder)
    _pass_through(encoder.conv_in, 3)
    fold = encoder.down_blocks[0].downsamplers[0].conv
    for y, x, channel in product(range(FOLD), range(FOLD), range(3)):
        fold.weight[(y * FOLD + x) * 3 + channel, channel, y, x] = 1
    _pass_through(encoder.down_blocks[1].resnets[0].conv_shortcut, 3 * FOLD**2)
    _write_projection(encoder.down_blocks[1].downsamplers[0].conv, basis)
    _write_pairs(encoder, num_latents)
    encoder.conv_out.bias[num_latents:] = LOG_VARIANCE
    _clear(vae.quant_conv)
    _pass_through(vae.quant_conv, 2 * num_latents)


@torch.no_grad()
def encode_pictures(
    vae: Any,  # noqa: ANN401
    pictures: UInt8[Tensor, "case channel height width"],
    *,
    batch: int = 100,
) -> Tensor:
    """Return the latents of pictures: (case, latent, row, column)."""
    chunks = (chunk.float() / 127.5 - 1 for chunk in pictures.split(batch))
    return torch.cat([vae.encode(chunk).latent_dist.mean for chunk in chunks])


def _write_projection(convolution: nn.Conv2d, basis: PatchBasis) -> None:
    """Write the basis over 2 x 2 cells, each of 2 x 2 folded pixels."""
    patches = basis.weights.unflatten(1, (3, PATCH, PATCH)).float()
    count = len(patches)
    assert convolution.bias is not None
    for row, column, y, x in product(range(FOLD), repeat=4):
        first = (y * FOLD + x) * 3
        pixel = patches[:, :, FOLD * row + y, FOLD * column + x]
        convolution.weight[:count, first : first + 3, row, column] = pixel
    convolution.bias[:count] = -(basis.weights @ basis.mean).float()


def _write_pairs(encoder: Any, num_latents: int) -> None:  # noqa: ANN401
    """Lead every latent through the last normalization and activation as h and -h."""
    spread, gather = encoder.down_blocks[2].resnets[0].conv_shortcut, encoder.conv_out
    size = encoder.conv_norm_out.num_channels // GROUPS
    constant = CONSTANT * (2 / size) ** 0.5  # the standard deviation of a group
    for latent in range(num_latents):
        group, place = divmod(latent, num_latents // GROUPS)
        for sign in (1, -1):
            channel = group * size + 2 * place + (sign < 0)
            spread.weight[channel, latent, 0, 0] = sign
            gather.weight[latent, channel, 1, 1] = sign * constant
    for group, sign in product(range(GROUPS), (1, -1)):
        behind = group * size + 2 * (num_latents // GROUPS)
        spread.bias[behind + (sign < 0)] = sign * CONSTANT


@torch.no_grad()
def _open_decoder(vae: Any, num_latents: int) -> None:  # noqa: ANN401
    """Hand the latents through every level; residual branches begin at zero."""
    decoder = vae.decoder
    for block in (*decoder.mid_block.resnets, *(r for b in decoder.up_blocks for r in b.resnets)):
        _clear(block.conv2)
        if block.conv_shortcut is not None:
            _keep(block.conv_shortcut, num_latents)
    for block in decoder.up_blocks:
        for upsampler in block.upsamplers or ():
            _keep(upsampler.conv, num_latents)
    _keep(decoder.conv_in, num_latents)
    _clear(vae.post_quant_conv)
    _pass_through(vae.post_quant_conv, num_latents)


def _keep(convolution: nn.Conv2d, count: int) -> None:
    """Make the first channels come out as they come in, and leave the others."""
    assert convolution.bias is not None
    convolution.weight[:count] = 0
    convolution.bias[:count] = 0
    _pass_through(convolution, count)


def _pass_through(convolution: nn.Conv2d, count: int) -> None:
    middle = convolution.kernel_size[0] // 2
    for channel in range(count):
        convolution.weight[channel, channel, middle, middle] = 1


def _clear(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.zero_()
            if module.bias is not None:
                module.bias.zero_()


def _check_widths(channels: tuple[int, int, int], num_latents: int) -> None:
    first, middle, last = channels
    pairs = 2 * (num_latents // GROUPS) + 2  # of a group, the constant's among them
    if first < 3 * FOLD**2 or middle < max(3 * FOLD**2, num_latents) or last < GROUPS * pairs:
        raise BadInputError(
            f"Levels of {channels} channels are too narrow for {num_latents} latents: at least "
            f"({3 * FOLD**2}, {max(3 * FOLD**2, num_latents)}, {GROUPS * pairs}) are needed."
        )
    if num_latents % GROUPS:
        raise BadInputError(f"Cannot deal {num_latents} latents to {GROUPS} groups evenly.")
