"""A tiny smooth conditional network in float64, whose Jacobian autograd can write down."""

from dataclasses import dataclass, field

import pytest
import torch

from equipoise.denoisers.data_units import DataUnits


class Net(torch.nn.Module):
    def __init__(self, dim, *, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def weight(*shape):
            draw = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return torch.nn.Parameter(0.4 * draw, requires_grad=False)

        self.into, self.out = weight(2 * dim, dim), weight(dim, 2 * dim)
        self.table = weight(4, 2 * dim)

    def forward(self, x, sigma, cond):
        h = x.double() @ self.into.T + self.table[cond] / (1 + sigma.double()[:, None])
        return (torch.tanh(h) @ self.out.T).to(x.dtype)


@dataclass(frozen=True)
class ClassDenoiser(DataUnits):
    network: Net
    sample_shape: tuple[int, ...]
    data_std: float = 1.0
    default_sites: tuple[str, ...] = field(default=())

    def denoise(self, x, sigma, cond=None):
        asked = self.null_condition(len(x)) if cond is None else cond
        return self.network(x.flatten(1), sigma, asked).reshape(x.shape)

    def null_condition(self, batch):
        return torch.full((batch,), 3)


@pytest.fixture(scope="session")
def smooth():
    """Samples of shape (1, 3, 2) in float64; classes 0 to 2, and 3 for the empty condition."""
    return ClassDenoiser(Net(6, seed=0), (1, 3, 2))


@pytest.fixture(scope="session")
def evidence():
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(4, 1, 3, 2, generator=generator, dtype=torch.float64)
    return images, ["a", "b", "c", "d"], torch.tensor([0, 1, 2, 0])
