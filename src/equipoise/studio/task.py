"""Tasks: long work in a thread of its own, told step by step, one at a time.

The work is a generator that yields how far it has come and returns the HTML of its result; a task
is cancelled between two of its steps.
"""

import itertools
import logging
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from equipoise.errors import EquipoiseError

KEPT = 16
"""Finished tasks that can still be asked for."""
State = Literal["waiting", "running", "finished", "failed", "cancelled"]


@dataclass(frozen=True)
class Progress:
    """How far a work has come."""

    done: int
    total: int
    doing: str


Work = Generator[Progress, None, str]


class Task:
    """A work and what has become of it."""

    def __init__(self, work: Work) -> None:
        self.state: State = "waiting"
        self.progress = Progress(0, 1, "waiting for another task")
        self.html = ""
        self.error = ""
        self._work = work
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the work after the step it is in."""
        self._cancelled.set()

    def run(self) -> None:
        """Do the work step by step, until it ends or is cancelled."""
        self.state = "running"
        try:
            while not self._cancelled.is_set():
                self.progress = next(self._work)
            self._work.close()
            self.state = "cancelled"
        except StopIteration as end:
            self.html = end.value
            self.state = "finished"
        except EquipoiseError as error:
            self.error, self.state = str(error), "failed"
        except Exception:  # a fault of ours must not leave the page waiting
            logging.getLogger(__name__).exception("a task of the studio failed")
            self.error = "This is a fault of equipoise; the terminal shows it."
            self.state = "failed"

    def describe(self) -> dict[str, object]:
        """Say for the page how it stands."""
        return {
            "state": self.state, "done": self.progress.done, "total": self.progress.total,
            "doing": self.progress.doing, "html": self.html, "error": self.error,
        }  # fmt: skip


class Tasks:
    """The tasks of a studio: one works, the others wait."""

    def __init__(self) -> None:
        self._tasks: dict[int, Task] = {}
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()

    def start(self, work: Work) -> int:
        """Put a work in line; return the number of its task."""
        number, task = next(self._numbers), Task(work)
        self._tasks[number] = task
        for old in list(self._tasks)[:-KEPT]:
            self._tasks.pop(old).cancel()
        threading.Thread(target=self._take_turn, args=(task,), daemon=True).start()
        return number

    def find(self, number: int) -> Task | None:
        """Return a task, or None where it is not known any more."""
        return self._tasks.get(number)

    def _take_turn(self, task: Task) -> None:
        with self._turn:
            task.run()
