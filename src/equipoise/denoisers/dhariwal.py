r"""ADM: the U-Net of Dhariwal and Nichol (2021), as EDM's snapshots hold it.

Blocks are modulated by scale and shift, attention has heads of 64 channels at several
resolutions, the class is added to the noise embedding as a vector of its own.

References:
    Diffusion Models Beat GANs on Image Synthesis (Dhariwal and Nichol, 2021) | arXiv 2105.05233
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    App. F.3 | arXiv 2206.00364
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from equipoise.denoisers.resnet import (
    BlockStyle,
    Convolution,
    GroupNorm,
    Linear,
    PositionalEmbedding,
    ResidualBlock,
)
from equipoise.denoisers.unet_spec import UNetSpec, Width

EPS = 1e-5
HEAD_CHANNELS = 64


class DhariwalSpec(UNetSpec):
    """Shape of an ADM network."""

    model_channels: Width = 192
    channel_mult: tuple[Width, ...] = Field((1, 2, 3, 4), min_length=1, max_length=12)
    num_blocks: int = Field(3, ge=1, le=64)
    attn_resolutions: tuple[int, ...] = Field((32, 16, 8), max_length=16)


class DhariwalUNet(nn.Module):
    """`F(x, c_noise, class weights)` of ADM.

    Args:
        spec: Shape of the network.
    """

    def __init__(self, spec: DhariwalSpec) -> None:
        super().__init__()
        self.spec = spec
        base, width = spec.model_channels, spec.model_channels * spec.channel_mult_emb
        self.style = BlockStyle(
            embedding=width,
            eps=EPS,
            gain=1.0,
            scaled=True,
            head_channels=HEAD_CHANNELS,
            taps=(1.0, 1.0),
            projected=False,
        )
        self.map_noise = PositionalEmbedding(base, endpoint=False)
        # Only training augments; the weights are kept so that the state is whole.
        self.map_augment = Linear(spec.augment_dim, base, bias=False) if spec.augment_dim else None
        self.map_layer0 = Linear(base, width)
        self.map_layer1 = Linear(width, width)
        self.map_label = Linear(spec.label_dim, width, bias=False) if spec.label_dim else None
        skips = self._make_encoder()
        self._make_decoder(skips)

    def forward(self, x: Tensor, c_noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Run the network.

        Args:
            x: Scaled noisy pictures, (batch, channel, height, width).
            c_noise: Noise labels, (batch,).
            classes: Weight of each class, (batch or 1, class); None when it has no classes.
        """
        embedding = self._map(c_noise, classes).to(x.dtype)
        skips: list[Tensor] = []
        for name, block in self.enc.items():
            x = block(x) if name.endswith("_conv") else block(x, embedding)
            skips.append(x)
        for name, block in self.dec.items():
            if "_block" in name:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(x, embedding)
        return self.out_conv(functional.silu(self.out_norm(x)))

    def _map(self, c_noise: Tensor, classes: Tensor | None) -> Tensor:
        features = self.map_noise(c_noise).to(self.map_layer0.weight.dtype)
        embedding = self.map_layer1(functional.silu(self.map_layer0(features)))
        if self.map_label is not None and classes is not None:
            embedding = embedding + self.map_label(classes.to(embedding.dtype))
        return functional.silu(embedding)

    def _make_encoder(self) -> list[int]:
        """Make the encoder, and return the channels of its skips in their order."""
        spec, style = self.spec, self.style
        self.enc = nn.ModuleDict()
        width = spec.width_at(0)
        skips: list[int] = []
        for level, name in enumerate(spec.levels):
            if level == 0:
                self.enc[f"{name}_conv"] = Convolution(spec.in_channels, width, 3)
            else:
                self.enc[f"{name}_down"] = ResidualBlock(width, width, style, resampling="down")
            skips.append(width)
            for index in range(spec.num_blocks):
                out = spec.width_at(level)
                self.enc[f"{name}_block{index}"] = ResidualBlock(
                    width, out, style, attends=spec.attends(level)
                )
                width = out
                skips.append(width)
        return skips

    def _make_decoder(self, skips: list[int]) -> None:
        spec, style = self.spec, self.style
        self.dec = nn.ModuleDict()
        width = skips[-1]
        for level, name in reversed(list(enumerate(spec.levels))):
            if level == len(spec.levels) - 1:
                self.dec[f"{name}_in0"] = ResidualBlock(width, width, style, attends=True)
                self.dec[f"{name}_in1"] = ResidualBlock(width, width, style)
            else:
                self.dec[f"{name}_up"] = ResidualBlock(width, width, style, resampling="up")
            for index in range(spec.num_blocks + 1):
                out = spec.width_at(level)
                self.dec[f"{name}_block{index}"] = ResidualBlock(
                    width + skips.pop(), out, style, attends=spec.attends(level)
                )
                width = out
        self.out_norm = GroupNorm(width, eps=EPS)
        self.out_conv = Convolution(width, spec.out_channels, 3)
