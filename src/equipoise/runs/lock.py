"""One writer a run folder: an exclusive lock that the kernel drops when its holder dies.

The lock belongs to the open file, not to its presence, so a killed process leaves nothing to clean
up and nobody has to guess whether a lock is stale.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equipoise.errors import RunError

LOCK = "run.lock"


@contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Hold the run folder `path` for writing; it is made when it is not there.

    Raises:
        RunError: when another process holds it, naming the process.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RunError(
                f'"{path}" is being written by process {holder}. Wait for it, stop it, or give '
                "another folder."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
