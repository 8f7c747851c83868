"""A training loop that is watched: a generator around it, which the caller owns.

    watched = eq.monitor(loop, model, training=..., held_out=..., every=500)
    for step, state in watched:
        if watched.stop:
            break

The rule says once, at `watched.stop`, that the training should end; whether it does is the
caller's.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from equipoise.denoisers import Denoiser
from equipoise.monitoring.check import Check
from equipoise.monitoring.monitor import Monitor

State = TypeVar("State")


@dataclass(frozen=True)
class WatchedLoop(Generic[State]):
    """A loop with a monitor; iterate over it once.

    Args:
        loop: What trains; yields something after every step.
        model: The denoiser to look into, whose network the loop changes in place; or a function
            from what the loop yields to the denoiser.
        monitor: What looks.
        keep: Called with step and state at each check up to the alarm, which is left out: what
            it saved last is the checkpoint before the onset.
        start: Steps that the loop has behind it.
    """

    loop: Iterable[State]
    model: Denoiser | Callable[[State], Denoiser]
    monitor: Monitor
    keep: Callable[[int, State], None] | None = None
    start: int = 0

    @property
    def checks(self) -> list[Check]:
        """What was seen so far."""
        return self.monitor.checks

    @property
    def stop(self) -> Check | None:
        """The first check at which the rule stopped; None so far."""
        return self.monitor.stop

    def __iter__(self) -> Iterator[tuple[int, State]]:
        self.monitor.begin(self.start)
        try:
            for step, state in enumerate(self.loop, self.start + 1):
                check = self.monitor.observe(step, lambda state=state: self._find(state))
                if check is not None and self.keep is not None and self.stop is None:
                    self.keep(step, state)
                yield step, state
        except GeneratorExit:  # the caller left the loop
            self.monitor.finish()
            raise
        self.monitor.finish()

    def _find(self, state: State) -> Denoiser:
        return self.model if isinstance(self.model, Denoiser) else self.model(state)
