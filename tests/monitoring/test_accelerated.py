import copy
from contextlib import ExitStack

import pytest
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from torch.utils.data import DataLoader

from equipoise.monitoring.accelerated import AcceleratedMonitor
from equipoise.zoo.training import update_average

pytestmark = pytest.mark.slow


class Tracker(GeneralTracker):
    name, requires_logging_directory = "list", False

    def __init__(self):
        super().__init__()
        self.rows = []

    @property
    def tracker(self):
        return self.rows

    def store_init_configuration(self, values):
        pass

    def log(self, values, step=None, **_):
        self.rows.append((step, values))


@pytest.fixture
def train(samples, student, build_student):
    """Train with averaged weights, mixed precision, accumulation and a compiled network."""

    def run(monitor=None):
        torch.compiler.reset()
        torch.manual_seed(1)
        own, average = copy.deepcopy(student), copy.deepcopy(student).requires_grad_(False)
        tracker = Tracker()
        accelerator = Accelerator(
            cpu=True, mixed_precision="bf16", gradient_accumulation_steps=2, log_with=[tracker]
        )
        accelerator.init_trackers("watched")
        optimizer = torch.optim.AdamW(own.parameters(), lr=1e-2)
        model, optimizer, loader = accelerator.prepare(
            torch.compile(own, backend="aot_eager"), optimizer, DataLoader(samples, batch_size=4)
        )
        with ExitStack() as stack:
            if monitor is not None:
                watched = AcceleratedMonitor(monitor, accelerator, lambda: build_student(average))
                stack.enter_context(watched)
            for batch in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(model(batch)["loss"])
                    optimizer.step()
                    optimizer.zero_grad()
                if accelerator.sync_gradients:
                    update_average(average, own, 0.9)
                if monitor is not None:
                    watched.step()
        return [copy.deepcopy(m.state_dict()) for m in (own, average)], tracker.rows

    return run


def test_the_training_is_that_without_it_and_the_tracker_has_the_values(train, build_monitor):
    plain, _ = train()
    monitor = build_monitor()
    watched, rows = train(monitor)
    for one, other in zip(plain, watched, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert [check.step for check in monitor.checks] == [2, 4, 6, 8]
    assert [step for step, _ in rows] == [2, 4, 6, 8]
    assert rows[0][1]["monitor/residual"] == monitor.checks[0].residual["value"]
