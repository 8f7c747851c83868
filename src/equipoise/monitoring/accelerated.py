"""A monitor beside a loop of accelerate, which has no callbacks: one line after the optimizer.

    with AcceleratedMonitor(monitor, accelerator, build) as watched:
        for batch in loader:
            with accelerator.accumulate(model):
                ...
                optimizer.step()
            check = watched.step()

Batches that only accumulate are passed over. Values go to the accelerator's own trackers.
"""

from collections.abc import Callable
from types import TracebackType

from equipoise.denoisers import Denoiser
from equipoise.monitoring.check import Check
from equipoise.monitoring.monitor import Monitor

try:
    from accelerate import Accelerator
except ImportError as error:
    raise ImportError(
        'AcceleratedMonitor needs accelerate: pip install "equipoise[trainers]".'
    ) from error


class AcceleratedMonitor:
    """Watches a loop of accelerate.

    Args:
        monitor: What looks.
        accelerator: Says when a step is complete, and logs.
        build: Makes the denoiser, of `accelerator.unwrap_model(model)` or of averaged weights.
        start: Steps that the training has behind it.
    """

    def __init__(
        self,
        monitor: Monitor,
        accelerator: Accelerator,
        build: Callable[[], Denoiser],
        *,
        start: int = 0,
    ) -> None:
        self.monitor = monitor
        self._accelerator = accelerator
        self._build = build
        self._step = start

    def __enter__(self) -> "AcceleratedMonitor":
        self.monitor.begin(self._step)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.monitor.finish()

    def step(self) -> Check | None:
        """Make a check if the batch ended a step and one is due."""
        if not self._accelerator.sync_gradients:
            return None
        self._step += 1
        check = self.monitor.observe(self._step, self._build)
        if check is not None:
            self._accelerator.log(check.list_values(), step=self._step)
        return check
