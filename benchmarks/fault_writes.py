"""Let the Nth step of writing fail, for every N, with a full and with a broken disk."""

import errno
import os
from collections import Counter
from pathlib import Path

from fault_kills import count_broken
from fault_stage import Points, count_points, read_rows

from equipoise.auditing.job import Audit, run_audit
from equipoise.runs import check_run, load_run

FAULTS = {"no space left": errno.ENOSPC, "input/output error": errno.EIO}


def fail_every_write(audit: Audit, scratch: Path, *, every: int = 1) -> list[str]:
    """Fail at every point (or every `every`-th), and go on without the fault."""
    names = count_points(audit, scratch / "whole")
    whole = read_rows(load_run(scratch / "whole"))
    tried: Counter[str] = Counter()
    unclear, broken, different = 0, 0, 0
    for fault, code in FAULTS.items():
        for at in range(0, len(names), every):
            out = scratch / f"{code}-{at}"
            tried[fault] += 1
            unclear += not _fails_clearly(audit, out, code, at)
            broken += count_broken(out)
            run_audit(audit, out)
            different += not read_rows(load_run(out)).equals(whole)
            different += set(check_run(out).values()) != {"ok"}
    counts = ", ".join(f"{count} times {fault}" for fault, count in tried.items())
    return [
        f"**Writes.** {counts}, each at another of the {len(names)} points of an audit; then the "
        "same call went on without the fault.",
        "",
        f"- Errors that do not name the file and the reason: {unclear}.",
        f"- Visible files that could not be read after the fault: {broken}.",
        f"- Audits whose rows in the end differ, or whose files differ from their hashes: "
        f"{different}.",
    ]


def _fails_clearly(audit: Audit, out: Path, code: int, at: int) -> bool:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    try:
        with Points(fail, at).installed():
            run_audit(audit, out)
    except OSError as error:
        return error.errno == code and str(out) in str(error.filename)
    return False
