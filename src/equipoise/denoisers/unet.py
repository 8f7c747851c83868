r"""A compact DDPM++-style convolutional U-Net, written from the papers.

Residual blocks (group norm, SiLU, 3x3 convolution, twice) with the noise level added as a shift
and a scale between the two convolutions; every sum is divided by sqrt(2), so that variance is
kept; one 3x3 stride-2 convolution down and nearest-neighbour doubling plus a convolution up
between levels; skips are concatenated. No attention, and pixels folded into channels first
(`patch`): at 16 px both buy training steps, which a small model needs more.

Block names follow diffusers (`down_blocks.i.resnets.j`, `mid_block.resnets.j`,
`up_blocks.i.resnets.j`, each with `conv1` and `conv2`), so that one site name means the same
place in every family.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), App. B | arXiv 2006.11239
    Score-Based Generative Modeling through SDEs (Song et al., 2021), App. H | arXiv 2011.13456
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    App. F.1 | arXiv 2206.00364
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

GROUP_CHANNELS = 8


class NoiseEmbedding(nn.Module):
    """Sinusoidal features of `c_noise`, then two linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.linear_1 = nn.Linear(dim, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        half = self.dim // 2
        steps = torch.arange(half, device=c_noise.device, dtype=torch.float32)
        # c_noise of EDM spans about [-1.6, 1.1]: frequencies from 1 to 100 resolve it.
        frequencies = torch.exp(steps / (half - 1) * math.log(100.0))
        angles = c_noise.float()[:, None] * frequencies
        features = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear_1.weight.dtype)
        return functional.silu(self.linear_2(functional.silu(self.linear_1(features))))


class ResidualBlock(nn.Module):
    """Two normalized convolutions around a skip, modulated by the noise embedding."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(in_channels // GROUP_CHANNELS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = nn.GroupNorm(out_channels // GROUP_CHANNELS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip: nn.Module = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )
        # The block starts as its skip, so that early gradients reach every level.
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self,
        h: Float[Tensor, "batch channel height width"],
        embedding: Float[Tensor, "batch dim"],
    ) -> Float[Tensor, "batch channel_out height width"]:
        residual = self.conv1(functional.silu(self.norm1(h)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        residual = functional.silu(self.norm2(residual) * (1 + scale) + shift)
        return (self.skip(h) + self.conv2(residual)) * math.sqrt(0.5)


class Downsample(nn.Module):
    """Halve the resolution by a stride-2 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(h)


class Upsample(nn.Module):
    """Double the resolution by repetition, then smooth by a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(functional.interpolate(h, scale_factor=2, mode="nearest"))


class DownBlock(nn.Module):
    """Residual blocks of one level, then a downsampling unless it is the last level."""

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, dim: int, *, last: bool
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (depth - 1)
        self.resnets = nn.ModuleList(ResidualBlock(w, out_channels, dim) for w in widths)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(out_channels)])

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        for resnet in self.resnets:
            h = resnet(h, embedding)
            skips.append(h)
        for downsample in self.downsamplers:
            h = downsample(h)
            skips.append(h)
        return h


class MidBlock(nn.Module):
    """One residual block at the lowest resolution."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([ResidualBlock(channels, channels, dim)])

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        for resnet in self.resnets:
            h = resnet(h, embedding)
        return h


class UpBlock(nn.Module):
    """Residual blocks that each take one skip, then an upsampling unless it is the last level."""

    def __init__(
        self, in_channels: int, out_channels: int, skips: list[int], dim: int, *, last: bool
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (len(skips) - 1)
        self.resnets = nn.ModuleList(
            ResidualBlock(width + skip, out_channels, dim)
            for width, skip in zip(widths, skips, strict=True)
        )
        self.upsamplers = nn.ModuleList([] if last else [Upsample(out_channels)])

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        for resnet in self.resnets:
            h = resnet(torch.cat([h, skips.pop()], dim=1), embedding)
        for upsample in self.upsamplers:
            h = upsample(h)
        return h


class UNet(nn.Module):
    """`F(x, c_noise)`, the raw network of Karras et al. (2022), Eq. 7.

    Args:
        in_channels: Channels of the sample.
        patch: Side in px of the squares folded into channels before the first convolution.
        channels: Width of each level, highest resolution first; multiples of 8.
        depth: Residual blocks a level going down; one more going up.
    """

    def __init__(
        self, in_channels: int, *, patch: int, channels: tuple[int, ...], depth: int
    ) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(patch)
        self.unfold = nn.PixelShuffle(patch)
        folded = in_channels * patch**2
        dim = 4 * channels[0]
        self.embedding = NoiseEmbedding(dim)
        self.conv_in = nn.Conv2d(folded, channels[0], 3, padding=1)
        skips = [channels[0]]
        self.down_blocks = nn.ModuleList()
        width = channels[0]
        for level, out in enumerate(channels):
            last = level == len(channels) - 1
            self.down_blocks.append(DownBlock(width, out, depth, dim, last=last))
            skips += [out] * (depth if last else depth + 1)
            width = out
        self.mid_block = MidBlock(width, dim)
        self.up_blocks = nn.ModuleList()
        for level, out in reversed(list(enumerate(channels))):
            taken = [skips.pop() for _ in range(depth + 1)]
            self.up_blocks.append(UpBlock(width, out, taken, dim, last=level == 0))
            width = out
        self.norm_out = nn.GroupNorm(width // GROUP_CHANNELS, width)
        self.conv_out = nn.Conv2d(width, folded, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self,
        x: Float[Tensor, "batch channel height width"],
        c_noise: Float[Tensor, " batch"],
    ) -> Float[Tensor, "batch channel height width"]:
        embedding = self.embedding(c_noise)
        h = self.conv_in(self.fold(x))
        skips = [h]
        for block in self.down_blocks:
            h = block(h, embedding, skips)
        h = self.mid_block(h, embedding)
        for block in self.up_blocks:
            h = block(h, embedding, skips)
        return self.unfold(self.conv_out(functional.silu(self.norm_out(h))))
