"""A monitor as a callback of transformers' Trainer.

    trainer.add_callback(TrainerMonitor(monitor, trainer, lambda module: eq.wrap(module, ...)))

The Trainer counts optimizer steps, whatever it accumulates. Values go to its own trackers
(`report_to`) and its log history.
"""

from collections.abc import Callable

from torch import nn

from equipoise.denoisers import Denoiser
from equipoise.monitoring.monitor import Monitor

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState
except ImportError as error:
    raise ImportError(
        'TrainerMonitor needs transformers: pip install "equipoise[trainers]".'
    ) from error


class TrainerMonitor(TrainerCallback):
    """Watches the training of a Trainer.

    Args:
        monitor: What looks.
        trainer: The Trainer whose log gets the values.
        build: Makes the denoiser of the Trainer's model, or of averaged weights kept elsewhere.
        stop: Whether the alarm ends the training.
        keep: Whether each check before the alarm saves a checkpoint; the last one saved is the
            one before the onset.
    """

    def __init__(
        self,
        monitor: Monitor,
        trainer: Trainer,
        build: Callable[[nn.Module], Denoiser],
        *,
        stop: bool = False,
        keep: bool = False,
    ) -> None:
        self.monitor = monitor
        self._trainer = trainer
        self._build = build
        self._stop = stop
        self._keep = keep

    def on_train_begin(
        self, args: object, state: TrainerState, control: TrainerControl, **words: object
    ) -> None:
        """Begin, or go on with a training that is resumed."""
        self.monitor.begin(state.global_step)

    def on_step_end(
        self,
        args: object,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        **words: object,
    ) -> None:
        """Make a check if one is due."""
        check = self.monitor.observe(state.global_step, lambda: self._build(model))
        if check is None:
            return
        self._trainer.log(check.list_values())
        alarmed = self.monitor.stop is not None
        control.should_training_stop |= self._stop and alarmed
        control.should_save |= self._keep and not alarmed

    def on_train_end(
        self, args: object, state: TrainerState, control: TrainerControl, **words: object
    ) -> None:
        """Close the run folder."""
        self.monitor.finish()
