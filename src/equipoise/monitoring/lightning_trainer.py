"""A monitor as a callback of Lightning's Trainer.

    Trainer(callbacks=[LightningMonitor(monitor, lambda module: eq.wrap(module.network, ...))])

Lightning counts optimizer steps; batches that only accumulate are passed over. Values go to the
Trainer's own loggers.
"""

from collections.abc import Callable
from pathlib import Path

from equipoise.denoisers import Denoiser
from equipoise.monitoring.monitor import Monitor

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise ImportError(
        'LightningMonitor needs lightning: pip install "equipoise[trainers]".'
    ) from error


class LightningMonitor(Callback):
    """Watches the training of a Lightning Trainer.

    Args:
        monitor: What looks.
        build: Makes the denoiser of the LightningModule.
        stop: Whether the alarm ends the training.
        keep: Checkpoint that each check before the alarm writes anew: it ends as the one before
            the onset. None keeps none.
    """

    def __init__(
        self,
        monitor: Monitor,
        build: Callable[[LightningModule], Denoiser],
        *,
        stop: bool = False,
        keep: Path | None = None,
    ) -> None:
        self.monitor = monitor
        self._build = build
        self._stop = stop
        self._keep = keep
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, or go on with a training that is resumed."""
        self._step = trainer.global_step
        self.monitor.begin(self._step)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Make a check if the batch ended a step and one is due."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        check = self.monitor.observe(self._step, lambda: self._build(pl_module))
        if check is None:
            return
        for logger in trainer.loggers:
            logger.log_metrics(check.list_values(), step=self._step)
        alarmed = self.monitor.stop is not None
        trainer.should_stop = trainer.should_stop or (self._stop and alarmed)
        if self._keep is not None and not alarmed:
            trainer.save_checkpoint(self._keep)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the run folder."""
        self.monitor.finish()
