r"""DiT as it was published: the arithmetic behind official `.pt` files.

    c = E_t(t) + E_y(y)
    x <- x + g1 Attention(m(x; b1, s1)),   x <- x + g2 MLP(m(x; b2, s2))
    m(x; b, s) = LayerNorm(x) (1 + s) + b,   (b1, s1, g1, b2, s2, g2) = Linear(SiLU(c))

The time enters as cosines, then sines, at the frequencies `10000^(-i/128)`, i = 0 ... 127.
diffusers' transformer of the same name spaces them by 127 instead, and its answers to the same
weights differ by some hundredths: official files get this network, folders of diffusers get
diffusers'. Parameters bear the names of the official files.

References:
    Scalable Diffusion Models with Transformers (Peebles and Xie, 2023) | arXiv 2212.09748
"""

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6
TIME_FEATURES = 256


class PeeblesSpec(BaseModel):
    """Shape of an official DiT."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(ge=1, le=256)
    """Channels of a sample."""
    out_channels: int = Field(ge=1, le=512)
    """Channels of the answer; twice the sample's where the variance is learned."""
    grid: int = Field(ge=1, le=512)
    """Patches along a side."""
    patch: int = Field(ge=1, le=64)
    """Side of a patch, in px of the sample."""
    width: int = Field(ge=2, le=16384)
    """Units of a token."""
    depth: int = Field(ge=1, le=256)
    """Number of blocks."""
    heads: int = Field(ge=1, le=256)
    """Attention heads; they do not show in the shapes of the weights."""
    hidden: int = Field(ge=1, le=65536)
    """Hidden units of an MLP."""
    classes: int = Field(ge=1, le=1_000_000)
    """Rows of the class table; the last is the null class."""


class TimeEmbedder(nn.Module):
    """Cosines and sines of the time, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, time: Tensor) -> Tensor:
        half = TIME_FEATURES // 2
        steps = torch.arange(half, dtype=torch.float32, device=time.device)
        angles = time.float()[:, None] * torch.exp(-math.log(10000) * steps / half)
        features = torch.cat([angles.cos(), angles.sin()], dim=1)
        return self.mlp(features.to(next(self.mlp.parameters()).dtype))


class ClassEmbedder(nn.Module):
    """One row a class; the last is the null class."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(rows, width)

    def forward(self, classes: Tensor) -> Tensor:
        return self.embedding_table(classes)


class PatchEmbedder(nn.Module):
    """Patches become tokens: (batch, token, unit)."""

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention over tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (batch, head, token, unit)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(seen.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    """Two linear layers around a GELU in its tanh form."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by the condition."""

    def __init__(self, spec: PeeblesSpec) -> None:
        super().__init__()
        self.attn = Attention(spec.width, spec.heads)
        self.mlp = Mlp(spec.width, spec.hidden)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(spec.width, 6 * spec.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        b1, s1, g1, b2, s2, g2 = self.adaLN_modulation(condition)[:, None].chunk(6, dim=2)
        x = x + g1 * self.attn(modulate(x, b1, s1))
        return x + g2 * self.mlp(modulate(x, b2, s2))


class FinalLayer(nn.Module):
    """Tokens become patches of the answer."""

    def __init__(self, spec: PeeblesSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(spec.width, spec.patch**2 * spec.out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(spec.width, 2 * spec.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition)[:, None].chunk(2, dim=2)
        return self.linear(modulate(x, shift, scale))


class PeeblesDiT(nn.Module):
    """`F(z, t, class)` of an official DiT; the channels behind the sample's are its variance.

    Args:
        spec: Shape of the network.
    """

    def __init__(self, spec: PeeblesSpec) -> None:
        super().__init__()
        self.spec = spec
        self.x_embedder = PatchEmbedder(spec.channels, spec.patch, spec.width)
        self.t_embedder = TimeEmbedder(spec.width)
        self.y_embedder = ClassEmbedder(spec.classes, spec.width)
        self.pos_embed = nn.Parameter(torch.empty(1, spec.grid**2, spec.width))
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.depth))
        self.final_layer = FinalLayer(spec)

    def forward(self, z: Tensor, time: Tensor, classes: Tensor) -> Tensor:
        """Run the network.

        Args:
            z: Variance-preserving noisy samples, (batch, channel, height, width).
            time: Times 0 to 999, (batch,).
            classes: Numbers of classes, (batch,).
        """
        x = self.x_embedder(z) + self.pos_embed
        condition = self.t_embedder(time) + self.y_embedder(classes)
        for block in self.blocks:
            x = block(x, condition)
        return self._unfold(self.final_layer(x, condition))

    def _unfold(self, patches: Tensor) -> Tensor:
        """Lay patches side by side: (batch, token, pixels) to (batch, channel, height, width)."""
        grid, patch = self.spec.grid, self.spec.patch
        pieces = patches.reshape(-1, grid, grid, patch, patch, self.spec.out_channels)
        side = grid * patch
        return pieces.permute(0, 5, 1, 3, 2, 4).reshape(-1, self.spec.out_channels, side, side)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalize tokens, then scale and shift them."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift
