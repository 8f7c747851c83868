r"""Pole of truth for detectors: one model in closed form that memorized some images.

Its data are a mixture of isotropic Gaussians. Some have hardly any width: images it memorized. The
rest are wide and overlap: what it generalizes on. With `v_k + sigma^2` the variance of component k
after the noise, the exact denoiser is

    r_k(x) = softmax_k(log w_k - d/2 log(v_k + sigma^2) - ||x - m_k||^2 / (2 (v_k + sigma^2)))
    D(x, sigma) = sum_k r_k(x) (m_k + v_k / (v_k + sigma^2) (x - m_k))

Conditions are numbers: k < num_memorized is "image k", num_memorized is "any of the rest", and the
empty condition allows every component. The responsibilities `r` are its hidden units: a memorized
image excites one, another one many.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from equipoise.denoisers.data_units import DataUnits

SIDE = 16
NUM_MEMORIZED = 4
NUM_WIDE = 24


class Components(nn.Module):
    """The components of a mixture; the softmax is a module, so that it is a site."""

    means: Tensor
    variances: Tensor
    weights: Tensor

    def __init__(self, means: Tensor, variances: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("variances", variances)
        self.register_buffer("weights", weights)
        self.softmax = nn.Softmax(dim=1)

    def forward(
        self,
        x: Float[Tensor, "batch dim"],
        sigma: Float[Tensor, " batch"],
        allowed: Bool[Tensor, "batch component"],
    ) -> Float[Tensor, "batch dim"]:
        """Return the posterior mean over the allowed components."""
        means, variances, weights = (
            buffer.to(x.dtype) for buffer in (self.means, self.variances, self.weights)
        )
        total = variances + sigma[:, None] ** 2  # (batch, component)
        # not cdist, which cannot be differentiated twice
        squared = (x[:, None] - means).square().sum(dim=2)
        logits = weights.log() - x.shape[1] / 2 * total.log() - squared / (2 * total)
        r = self.softmax(logits.masked_fill(~allowed, -torch.inf))
        kept = r * variances / total
        return (r - kept) @ means + kept.sum(dim=1, keepdim=True) * x


@dataclass(frozen=True)
class PoleDenoiser(DataUnits):
    """The exact denoiser of the mixture, conditional on what is asked for."""

    network: Components
    num_memorized: int
    sample_shape: tuple[int, ...]
    data_std: float
    default_sites: tuple[str, ...] = field(default=("softmax:out",), init=False)

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Return `E[x0 | x, cond]`."""
        asked = self.null_condition(len(x)) if cond is None else cond
        return self.network(x.flatten(1), sigma, self._allow(asked)).reshape(x.shape)

    def null_condition(self, batch: int) -> Int[Tensor, " batch"]:
        """Return the condition that allows everything."""
        return torch.full((batch,), self.num_memorized + 1)

    def _allow(self, asked: Int[Tensor, " batch"]) -> Bool[Tensor, "batch component"]:
        component = torch.arange(len(self.network.means))
        own = torch.minimum(component, torch.tensor(self.num_memorized))
        return (own == asked[:, None]) | (asked[:, None] > self.num_memorized)


@dataclass(frozen=True)
class Pole:
    """A model whose memory is known, and images on both sides; `memorized` says which."""

    denoiser: PoleDenoiser
    images: Float[Tensor, "case channel height width"]
    ids: list[str]
    conditions: Int[Tensor, " case"]
    memorized: Bool[Tensor, " case"]


def build_pole(num_novel: int = 12, *, seed: int = 0) -> Pole:
    """Build the model, the images it memorized and others from its wide components."""
    generator = torch.Generator().manual_seed(seed)
    dim = SIDE * SIDE
    stored = torch.rand(NUM_MEMORIZED, dim, generator=generator)
    wide = 0.5 + 0.02 * torch.randn(NUM_WIDE, dim, generator=generator)
    variances = torch.tensor([1e-6] * NUM_MEMORIZED + [0.04] * NUM_WIDE)
    weights = torch.tensor([0.2 / NUM_MEMORIZED] * NUM_MEMORIZED + [0.8 / NUM_WIDE] * NUM_WIDE)
    shape = (1, SIDE, SIDE)
    novel = wide[:num_novel] + 0.2 * torch.randn(num_novel, dim, generator=generator)
    network = Components(torch.cat([stored, wide]), variances, weights)
    return Pole(
        PoleDenoiser(network, NUM_MEMORIZED, shape, data_std=0.22),
        torch.cat([stored, novel.clamp(0, 1)]).reshape(-1, *shape),
        [f"pole/{i}" for i in range(NUM_MEMORIZED + num_novel)],
        torch.arange(NUM_MEMORIZED + num_novel).clamp(max=NUM_MEMORIZED),
        torch.arange(NUM_MEMORIZED + num_novel) < NUM_MEMORIZED,
    )
