"""Let many processes want one run folder at once, and count how many had it together."""

import os
import time
from pathlib import Path

from equipoise.errors import RunError
from equipoise.runs import lock_run

HOLD = 0.002  # s


def race(scratch: Path, *, writers: int, rounds: int) -> list[str]:
    """Start `writers` processes that each want the folder `rounds` times.

    An owner makes a file that must not be there yet and removes it: a second owner at that time
    finds it.
    """
    out, log = scratch / "raced", scratch / "log"
    scratch.mkdir(parents=True, exist_ok=True)
    log.touch()
    start = time.monotonic() + 0.5
    children = [_start(out, log, start, rounds) for _ in range(writers)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    words = log.read_text().split()
    return [
        f"**Races.** {writers} processes wanted one folder {rounds} times each, all at once.",
        "",
        f"- Owned {words.count('owned')} times, refused {words.count('refused')} times, "
        f"two owners at once: {words.count('double')}.",
        f"- Processes that ended otherwise: {sum(code != 0 for code in codes)}.",
    ]


def _start(out: Path, log: Path, start: float, rounds: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        time.sleep(max(0.0, start - time.monotonic()))
        words = [_try(out) for _ in range(rounds)]
        with log.open("a") as file:  # one write: lines of others do not mix in
            file.write(" ".join(words) + "\n")
        code = 0
    finally:
        os._exit(code)


def _try(out: Path) -> str:
    try:
        with lock_run(out):
            try:
                (out / "owner").touch(exist_ok=False)
            except FileExistsError:
                return "double"
            time.sleep(HOLD)
            (out / "owner").unlink()
            return "owned"
    except RunError:
        return "refused"
