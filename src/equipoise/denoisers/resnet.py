r"""The residual block that DDPM++, NCSN++ and ADM share, and its layers.

With norms N, convolutions C, SiLU s, noise embedding e and an affine map A of it:

    shifted:  h = C1(s(N1(C0(s(N0(x))) + A(e))))                          (Song et al.)
    scaled:   h = C1(s(N1(C0(s(N0(x)))) (1 + A1(e)) + A2(e)))             (Dhariwal and Nichol)
    y = (h + skip(x)) c,   then   y = (y + P(attention(N2(y)))) c   where the block attends

with c = sqrt(1/2) (variance is kept) or 1. Resampling happens inside C0 and in the skip: a
separable low-pass filter with stride 2.

Sums and products are taken in the order in which published weights were trained: biases after
the convolution, softmax in float32 at least. So answers agree with theirs to the last bits.
Parameters bear the names of published checkpoints.

References:
    Score-Based Generative Modeling through SDEs (Song et al., 2021), App. H | arXiv 2011.13456
    Diffusion Models Beat GANs on Image Synthesis (Dhariwal and Nichol, 2021) | arXiv 2105.05233
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    App. F | arXiv 2206.00364
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from equipoise.errors import BadInputError

Resampling = Literal["up", "down"]
MAX_GROUPS = 32
MIN_GROUP_CHANNELS = 4


class Linear(nn.Module):
    """`x W^T + b`; the bias is added after the product."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        product = x @ self.weight.t()
        return product if self.bias is None else product + self.bias


class Convolution(nn.Module):
    """A convolution, a resampling by a low-pass filter, or both.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        side: Side of the kernel in px; 0 resamples only.
        resampling: Double the resolution before, or halve it.
        taps: The separable filter, before it is made to sum to one.
        late: Halve the resolution after the convolution instead of before it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        *,
        resampling: Resampling | None = None,
        taps: tuple[float, ...] = (1.0, 1.0),
        late: bool = False,
    ) -> None:
        super().__init__()
        self.resampling = resampling
        self.late = late
        self.weight = nn.Parameter(torch.empty(outputs, inputs, side, side)) if side else None
        self.bias = nn.Parameter(torch.empty(outputs)) if side else None
        size = len(taps)
        kernel = torch.empty(1, 1, size, size) if resampling else None
        self.register_buffer("resample_filter", kernel)
        self.filter_padding = (size - 1) // 2
        self.kernel_padding = side // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.late and self.weight is not None:
            padding = self.kernel_padding + self.filter_padding
            x = self._halve(functional.conv2d(x, self.weight, padding=padding), padding=0)
        else:
            x = self._convolve(self._resample(x))
        return x if self.bias is None else x + self.bias.reshape(1, -1, 1, 1)

    def _convolve(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return x
        return functional.conv2d(x, self.weight, padding=self.kernel_padding)

    def _resample(self, x: Tensor) -> Tensor:
        if self.resampling == "down":
            return self._halve(x, padding=self.filter_padding)
        if self.resampling == "up":
            kernel = self._filter(4.0, x.shape[1])
            return functional.conv_transpose2d(
                x, kernel, groups=x.shape[1], stride=2, padding=self.filter_padding
            )
        return x

    def _halve(self, x: Tensor, *, padding: int) -> Tensor:
        kernel = self._filter(1.0, x.shape[1])
        return functional.conv2d(x, kernel, groups=x.shape[1], stride=2, padding=padding)

    def _filter(self, gain: float, channels: int) -> Tensor:
        """Return the filter, once a channel: (channel, 1, side, side)."""
        assert isinstance(self.resample_filter, Tensor)
        return (self.resample_filter * gain).tile(channels, 1, 1, 1)


class GroupNorm(nn.Module):
    """Group norm with groups of at least four channels and at most 32 groups.

    Raises:
        BadInputError: when the channels do not fall into whole groups.
    """

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.groups = min(MAX_GROUPS, channels // MIN_GROUP_CHANNELS)
        if not self.groups or channels % self.groups:
            raise BadInputError(
                f"{channels} channels do not fall into {self.groups} whole groups of a norm: the "
                "widths of this network cannot be."
            )
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class BlockStyle:
    """What all residual blocks of a network have in common.

    Args:
        embedding: Width of the noise embedding.
        eps: Added to the variance in every norm.
        gain: What every sum is multiplied by.
        scaled: Modulate by scale and shift, or by a shift alone.
        head_channels: Channels of an attention head; None for one head.
        taps: Filter of the resampling.
        projected: A skip that resamples has a 1x1 convolution too.
    """

    embedding: int
    eps: float
    gain: float
    scaled: bool
    head_channels: int | None
    taps: tuple[float, ...]
    projected: bool


class ResidualBlock(nn.Module):
    """Two normalized convolutions around a skip, and attention where it is wanted."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        style: BlockStyle,
        *,
        resampling: Resampling | None = None,
        attends: bool = False,
    ) -> None:
        super().__init__()
        self.gain = style.gain
        self.scaled = style.scaled
        per_head = style.head_channels or outputs
        self.heads = outputs // per_head if attends else 0
        self.norm0 = GroupNorm(inputs, eps=style.eps)
        self.conv0 = Convolution(inputs, outputs, 3, resampling=resampling, taps=style.taps)
        self.affine = Linear(style.embedding, outputs * (2 if style.scaled else 1))
        self.norm1 = GroupNorm(outputs, eps=style.eps)
        self.conv1 = Convolution(outputs, outputs, 3)
        self.skip: Convolution | None = None
        if inputs != outputs or resampling:
            side = 1 if style.projected or inputs != outputs else 0
            self.skip = Convolution(inputs, outputs, side, resampling=resampling, taps=style.taps)
        if self.heads:
            self.norm2 = GroupNorm(outputs, eps=style.eps)
            self.qkv = Convolution(outputs, 3 * outputs, 1)
            self.proj = Convolution(outputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv0(functional.silu(self.norm0(x)))
        h = self.conv1(self._modulate(h, self.affine(embedding)[:, :, None, None]))
        y = (h + (x if self.skip is None else self.skip(x))) * self.gain
        if self.heads:
            y = (self.proj(self._attend(y)) + y) * self.gain
        return y

    def _modulate(self, h: Tensor, parameters: Tensor) -> Tensor:
        if not self.scaled:
            return functional.silu(self.norm1(h + parameters))
        scale, shift = parameters.chunk(2, dim=1)
        return functional.silu(torch.addcmul(shift, self.norm1(h), scale + 1))

    def _attend(self, y: Tensor) -> Tensor:
        heads, width = len(y) * self.heads, y.shape[1] // self.heads
        qkv = self.qkv(self.norm2(y)).reshape(heads, width, 3, -1)
        query, key, value = qkv.unbind(2)  # (head, channel, place)
        precise = torch.promote_types(y.dtype, torch.float32)
        scores = torch.einsum(
            "hci,hcj->hij", query.to(precise), (key / math.sqrt(width)).to(precise)
        )
        weights = scores.softmax(dim=2).to(value.dtype)
        return torch.einsum("hij,hcj->hci", weights, value).reshape(y.shape)


class PositionalEmbedding(nn.Module):
    """Cosines, then sines, of the noise label at frequencies from 1 down to about 1/10000.

    With `endpoint` the last frequency is 1/10000 itself.
    """

    def __init__(self, width: int, *, endpoint: bool) -> None:
        super().__init__()
        self.frequencies = width // 2
        self.endpoint = endpoint

    def forward(self, labels: Tensor) -> Tensor:
        steps = torch.arange(self.frequencies, dtype=torch.float32, device=labels.device)
        rates = (1 / 10000) ** (steps / (self.frequencies - int(self.endpoint)))
        angles = labels.outer(rates.to(labels.dtype))
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class FourierEmbedding(nn.Module):
    """Cosines, then sines, of the noise label at random frequencies, which are kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(width // 2))

    def forward(self, labels: Tensor) -> Tensor:
        assert isinstance(self.freqs, Tensor)
        angles = labels.outer((2 * math.pi * self.freqs).to(labels.dtype))
        return torch.cat([angles.cos(), angles.sin()], dim=1)
