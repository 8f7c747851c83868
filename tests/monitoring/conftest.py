"""A toy denoiser that memorizes by a dial: its representation and its answer know some images."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.monitoring.stop_rule import Course, Ruling

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


class Small(nn.Module):
    """A denoiser of 16 pixels with one hidden layer."""

    def __init__(self):
        super().__init__()
        self.first, self.drop = nn.Linear(SIDE * SIDE, 24), nn.Dropout(0.1)
        self.last = nn.Linear(24, SIDE * SIDE)

    def forward(self, x, sigma):
        return self.last(self.drop(self.first(x.flatten(1)).relu())).reshape(x.shape)


class Student(nn.Module):
    """What a trainer trains: gives its loss, and draws from torch's own generator."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = Small()

    def forward(self, pictures):
        sigma = torch.rand(len(pictures)) + 0.1
        noisy = pictures + sigma[:, None, None, None] * torch.randn_like(pictures)
        return {"loss": (self.network(noisy, sigma) - pictures).square().mean()}


@pytest.fixture
def student():
    return Student()


@pytest.fixture
def build_student():
    from equipoise.denoisers import wrap

    def build(module):
        return wrap(module.network, sample_shape=(1, SIDE, SIDE), data_std=0.5, sites=("last:in",))

    return build


@pytest.fixture
def build_monitor(images):
    from equipoise.monitoring.monitor import Monitor, MonitorSpec

    def build(**words):
        spec = MonitorSpec(**{"every": 2, "checks": 5, "probe": 30})
        return Monitor(images[:60], images[60:], spec, **words)

    return build


@pytest.fixture
def samples(images):
    return images[:60].float() / 127.5 - 1


@pytest.fixture
def stop_at_the_third_check(monkeypatch):
    """Return a function after which a monitor's rule stops there, whatever it sees."""

    def change(monitor):
        def look(course, combined):
            return Ruling(np.zeros(1), float(len(monitor.checks) >= 2))

        monkeypatch.setattr(Course, "look", look)

    return change
