"""A toy denoiser that memorizes by a dial: its representation and its answer know some images."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

SIDE = 4


class Toy(nn.Module):
    """Hidden units that answer to the images of a table, as loudly as the dial says."""

    def __init__(self, known):
        super().__init__()
        self.table = nn.Parameter(known.flatten(1))
        self.dial = nn.Parameter(torch.zeros(()))
        self.hidden = nn.Identity()
        self.drop = nn.Dropout(0.5)

    def forward(self, x, sigma):
        flat = x.flatten(1)
        near = torch.softmax(-(torch.cdist(flat, self.table) ** 2) / 0.05, dim=1)
        close = torch.exp(-(torch.cdist(flat, self.table).min(dim=1).values ** 2))[:, None]
        self.hidden(self.drop(torch.ones_like(near)) * (0.1 + self.dial * near * close))
        share = (self.dial * close).clamp(0, 1)
        return (share * (near @ self.table) + (1 - share) * 0.5 * flat).reshape(x.shape)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (120, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)


@pytest.fixture
def build_toy(images):
    from equipoise.denoisers import wrap

    def build(known=30):
        module = Toy(images[:known].float() / 127.5 - 1)
        return wrap(module, sample_shape=(1, SIDE, SIDE), data_std=0.5, sites=("hidden:out",))

    return build


@dataclass
class Steps:
    """A loop that turns the dial up from one step on, and draws from torch's own generator."""

    denoiser: object
    count: int = 12
    onset: int | None = 6
    drawn: list = field(default_factory=list)

    def __iter__(self):
        for step in range(1, self.count + 1):
            self.drawn.append(float(torch.rand(())))
            if self.onset is not None and step >= self.onset:
                with torch.no_grad():
                    self.denoiser.network.dial.fill_(1.0)
            yield {"step": step}


@pytest.fixture
def build_steps():
    return Steps
