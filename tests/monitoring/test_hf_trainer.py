import pytest
import torch
from transformers import Trainer, TrainingArguments

from equipoise.monitoring.hf_trainer import TrainerMonitor
from equipoise.runs import load_run

pytestmark = pytest.mark.slow


@pytest.fixture
def build_trainer(samples, student, tmp_path):
    def build(**words):
        torch.manual_seed(0)
        asked = {
            "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "max_steps": 8,
            "report_to": [], "save_strategy": "no", "bf16": True, "use_cpu": True, "seed": 3,
            "disable_tqdm": True, "dataloader_pin_memory": False,
        }  # fmt: skip
        given = TrainingArguments(str(tmp_path / "trainer"), **(asked | words))
        rows = [{"pictures": sample} for sample in samples]
        return Trainer(model=student, args=given, train_dataset=rows)

    return build


def weights_of(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_it_checks_at_optimizer_steps_and_logs(
    build_trainer, build_monitor, build_student, tmp_path
):
    trainer, monitor = build_trainer(), build_monitor(out=tmp_path / "run")
    trainer.add_callback(TrainerMonitor(monitor, trainer, build_student))
    trainer.train()
    assert [check.step for check in monitor.checks] == [2, 4, 6, 8]
    logged = [row for row in trainer.state.log_history if "monitor/p_value" in row]
    assert [row["step"] for row in logged] == [2, 4, 6, 8]
    assert logged[0]["monitor/residual"] == monitor.checks[0].residual["value"]
    assert load_run(tmp_path / "run").record.status == "finished"


def test_the_training_is_that_without_it_bit_for_bit(build_trainer, build_monitor, build_student):
    before = {k: v.clone() for k, v in build_trainer().model.state_dict().items()}
    ends = []
    for watching in (False, True):
        trainer = build_trainer()
        trainer.model.load_state_dict(before)
        if watching:
            trainer.add_callback(TrainerMonitor(build_monitor(), trainer, build_student))
        trainer.train()
        ends.append(weights_of(trainer))
    assert torch.equal(*ends)


def test_the_alarm_stops_and_the_last_checkpoint_is_the_one_before(
    build_trainer, build_monitor, build_student, stop_at_the_third_check, tmp_path
):
    trainer, monitor = build_trainer(), build_monitor()
    trainer.add_callback(TrainerMonitor(monitor, trainer, build_student, stop=True, keep=True))
    stop_at_the_third_check(monitor)
    trainer.train()
    assert trainer.state.global_step == 6 == monitor.stop.step
    kept = sorted(path.name for path in (tmp_path / "trainer").glob("checkpoint-*"))
    assert kept == ["checkpoint-2", "checkpoint-4"]


def test_a_resumed_training_goes_on_with_its_checks(
    build_trainer, build_monitor, build_student, tmp_path
):
    before = {k: v.clone() for k, v in build_trainer().model.state_dict().items()}
    whole, parts = (tmp_path / name for name in ("whole", "parts"))

    def train(folder, resume=None, **words):
        trainer, monitor = build_trainer(**words), build_monitor(out=folder)
        trainer.model.load_state_dict(before)
        trainer.add_callback(TrainerMonitor(monitor, trainer, build_student))
        trainer.train(resume_from_checkpoint=resume)
        return monitor.checks

    expected = train(whole)
    train(parts, save_strategy="steps", save_steps=4)
    found = train(parts, resume=str(tmp_path / "trainer" / "checkpoint-4"))
    strip = [{k: v for k, v in c.describe().items() if k != "seconds"} for c in expected]
    assert [{k: v for k, v in c.describe().items() if k != "seconds"} for c in found] == strip
    assert len(list((parts / "monitor").glob("*.parquet"))) == 4
