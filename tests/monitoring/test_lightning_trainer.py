import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from equipoise.monitoring.lightning_trainer import LightningMonitor

# Lightning's own: workers for its loaders, and what it calls in torch.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
]


class Module(LightningModule):
    def __init__(self, student):
        super().__init__()
        self.network = student.network
        self.student = student

    def training_step(self, batch, index):
        return self.student(batch)["loss"]

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


@pytest.fixture
def train(samples, student, tmp_path):
    before = {k: v.clone() for k, v in student.state_dict().items()}

    def run(*callbacks, **words):
        student.load_state_dict(before)
        torch.manual_seed(1)
        asked = {
            "max_steps": 8, "accumulate_grad_batches": 2, "precision": "bf16-mixed",
            "accelerator": "cpu", "enable_checkpointing": False, "enable_progress_bar": False,
            "enable_model_summary": False, "logger": CSVLogger(tmp_path, version=0),
            "log_every_n_steps": 1,
        }  # fmt: skip
        trainer = Trainer(callbacks=list(callbacks), **(asked | words))
        trainer.fit(Module(student), DataLoader(samples, batch_size=4))
        return torch.cat([p.detach().flatten() for p in student.parameters()])

    return run


def test_the_training_is_that_without_it_and_the_logger_has_the_values(
    train, build_monitor, build_student, tmp_path
):
    plain, monitor = train(), build_monitor()
    assert torch.equal(plain, train(LightningMonitor(monitor, build_student)))
    assert [check.step for check in monitor.checks] == [2, 4, 6, 8]
    head, *rows = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().split()
    assert "monitor/spikiness" in head
    assert len(rows) == 4


def test_the_alarm_stops_and_the_checkpoint_is_the_one_before(
    train, build_monitor, build_student, stop_at_the_third_check, tmp_path
):
    monitor = build_monitor()
    stop_at_the_third_check(monitor)
    kept = tmp_path / "before.ckpt"
    train(LightningMonitor(monitor, build_student, stop=True, keep=kept))
    assert [check.step for check in monitor.checks] == [2, 4, 6]
    assert torch.load(kept, weights_only=True)["global_step"] == 4
