r"""DDPM++ and NCSN++: the U-Nets of Song et al. (2021), as EDM's snapshots hold them.

One class for both, told apart by its specification:

    DDPM++   positional noise embedding, box filter, plain encoder and decoder
    NCSN++   random Fourier features, binomial filter, a residual pyramid beside the encoder

A pyramid hands the picture itself, halved again and again, to every level of the encoder; the
decoder's counterpart sums a picture from every level.

References:
    Score-Based Generative Modeling through SDEs (Song et al., 2021), App. H | arXiv 2011.13456
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    App. F.2 | arXiv 2206.00364
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from equipoise.denoisers.resnet import (
    BlockStyle,
    Convolution,
    FourierEmbedding,
    GroupNorm,
    Linear,
    PositionalEmbedding,
    ResidualBlock,
)
from equipoise.denoisers.unet_spec import UNetSpec, Width

EPS = 1e-6


class SongSpec(UNetSpec):
    """Shape of a DDPM++ or NCSN++ network; defaults are those of DDPM++."""

    model_channels: Width = 128
    channel_mult: tuple[Width, ...] = Field((1, 2, 2, 2), min_length=1, max_length=12)
    num_blocks: int = Field(4, ge=1, le=64)
    attn_resolutions: tuple[int, ...] = Field((16,), max_length=16)
    embedding_type: Literal["positional", "fourier"] = "positional"
    channel_mult_noise: Width = 1
    encoder_type: Literal["standard", "skip", "residual"] = "standard"
    decoder_type: Literal["standard", "skip"] = "standard"
    resample_filter: tuple[float, ...] = Field((1.0, 1.0), min_length=2, max_length=16)


class SongUNet(nn.Module):
    """`F(x, c_noise, class weights)` of DDPM++ and NCSN++.

    Args:
        spec: Shape of the network.
    """

    def __init__(self, spec: SongSpec) -> None:
        super().__init__()
        self.spec = spec
        self.style = BlockStyle(
            embedding=spec.model_channels * spec.channel_mult_emb,
            eps=EPS,
            gain=math.sqrt(0.5),
            scaled=False,
            head_channels=None,
            taps=spec.resample_filter,
            projected=True,
        )
        self._make_mapping()
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
        x, skips = self._encode(x, embedding)
        return self._decode(x, skips, embedding)

    def _make_mapping(self) -> None:
        spec, width = self.spec, self.style.embedding
        noise = spec.model_channels * spec.channel_mult_noise
        self.map_noise: nn.Module = (
            PositionalEmbedding(noise, endpoint=True)
            if spec.embedding_type == "positional"
            else FourierEmbedding(noise)
        )
        self.map_label = Linear(spec.label_dim, noise) if spec.label_dim else None
        # Only training augments; the weights are kept so that the state is whole.
        self.map_augment = (
            Linear(spec.augment_dim, noise, bias=False) if spec.augment_dim else None
        )
        self.map_layer0 = Linear(noise, width)
        self.map_layer1 = Linear(width, width)

    def _make_encoder(self) -> list[int]:
        """Make the encoder, and return the channels of its skips in their order."""
        spec, style = self.spec, self.style
        self.enc = nn.ModuleDict()
        pyramid = spec.in_channels
        width = spec.model_channels
        skips: list[int] = []
        for level, name in enumerate(spec.levels):
            if level == 0:
                self.enc[f"{name}_conv"] = Convolution(spec.in_channels, width, 3)
            else:
                self.enc[f"{name}_down"] = ResidualBlock(width, width, style, resampling="down")
                pyramid = self._make_pyramid(name, pyramid, width)
            skips.append(width)
            for index in range(spec.num_blocks):
                out = spec.width_at(level)
                self.enc[f"{name}_block{index}"] = ResidualBlock(
                    width, out, style, attends=spec.attends(level)
                )
                width = out
                skips.append(width)
        return skips

    def _make_pyramid(self, name: str, channels: int, width: int) -> int:
        """Make one level of the encoder's pyramid, and return its channels."""
        taps = self.style.taps
        if self.spec.encoder_type == "skip":
            self.enc[f"{name}_aux_down"] = Convolution(
                channels, channels, 0, resampling="down", taps=taps
            )
            self.enc[f"{name}_aux_skip"] = Convolution(channels, width, 1)
        if self.spec.encoder_type == "residual":
            self.enc[f"{name}_aux_residual"] = Convolution(
                channels, width, 3, resampling="down", taps=taps, late=True
            )
            return width
        return channels

    def _make_decoder(self, skips: list[int]) -> None:
        spec, style = self.spec, self.style
        self.dec = nn.ModuleDict()
        width = skips[-1]
        last = len(spec.levels) - 1
        for level, name in reversed(list(enumerate(spec.levels))):
            if level == last:
                self.dec[f"{name}_in0"] = ResidualBlock(width, width, style, attends=True)
                self.dec[f"{name}_in1"] = ResidualBlock(width, width, style)
            else:
                self.dec[f"{name}_up"] = ResidualBlock(width, width, style, resampling="up")
            for index in range(spec.num_blocks + 1):
                out = spec.width_at(level)
                attends = index == spec.num_blocks and spec.attends(level)
                self.dec[f"{name}_block{index}"] = ResidualBlock(
                    width + skips.pop(), out, style, attends=attends
                )
                width = out
            self._make_picture(level, name, width)

    def _make_picture(self, level: int, name: str, width: int) -> None:
        """Make what turns a level of the decoder into a picture, where it does."""
        spec = self.spec
        if spec.decoder_type != "skip" and level != 0:
            return
        if spec.decoder_type == "skip" and level < len(spec.levels) - 1:
            self.dec[f"{name}_aux_up"] = Convolution(
                spec.out_channels, spec.out_channels, 0, resampling="up", taps=self.style.taps
            )
        self.dec[f"{name}_aux_norm"] = GroupNorm(width, eps=EPS)
        self.dec[f"{name}_aux_conv"] = Convolution(width, spec.out_channels, 3)

    def _map(self, c_noise: Tensor, classes: Tensor | None) -> Tensor:
        features = self.map_noise(c_noise).to(self.map_layer0.weight.dtype)
        cosines, sines = features.chunk(2, dim=1)
        embedding = torch.cat([sines, cosines], dim=1)
        if self.map_label is not None and classes is not None:
            scale = math.sqrt(self.spec.label_dim)
            embedding = embedding + self.map_label(classes.to(embedding.dtype) * scale)
        embedding = functional.silu(self.map_layer0(embedding))
        return functional.silu(self.map_layer1(embedding))

    def _encode(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips: list[Tensor] = []
        pyramid = x
        for level, name in enumerate(self.spec.levels):
            if level == 0:
                x = self.enc[f"{name}_conv"](x)
            else:
                x = self.enc[f"{name}_down"](x, embedding)
                x, pyramid = self._add_pyramid(name, x, pyramid)
            skips.append(x)
            for index in range(self.spec.num_blocks):
                x = self.enc[f"{name}_block{index}"](x, embedding)
                skips.append(x)
        return x, skips

    def _add_pyramid(self, name: str, x: Tensor, pyramid: Tensor) -> tuple[Tensor, Tensor]:
        if self.spec.encoder_type == "skip":
            pyramid = self.enc[f"{name}_aux_down"](pyramid)
            return x + self.enc[f"{name}_aux_skip"](pyramid), pyramid
        if self.spec.encoder_type == "residual":
            x = (x + self.enc[f"{name}_aux_residual"](pyramid)) / math.sqrt(2)
            return x, x
        return x, pyramid

    def _decode(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        picture = None
        for level, name in reversed(list(enumerate(self.spec.levels))):
            if level == len(self.spec.levels) - 1:
                x = self.dec[f"{name}_in1"](self.dec[f"{name}_in0"](x, embedding), embedding)
            else:
                x = self.dec[f"{name}_up"](x, embedding)
            for index in range(self.spec.num_blocks + 1):
                joined = torch.cat([x, skips.pop()], dim=1)
                x = self.dec[f"{name}_block{index}"](joined, embedding)
            picture = self._add_picture(name, x, picture)
        assert picture is not None
        return picture

    def _add_picture(self, name: str, x: Tensor, picture: Tensor | None) -> Tensor | None:
        if f"{name}_aux_up" in self.dec:
            picture = self.dec[f"{name}_aux_up"](picture)
        if f"{name}_aux_conv" not in self.dec:
            return picture
        normalized = functional.silu(self.dec[f"{name}_aux_norm"](x))
        drawn = self.dec[f"{name}_aux_conv"](normalized)
        return drawn if picture is None else drawn + picture
