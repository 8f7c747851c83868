"""Kill audits at named points inside their writes, and look at what is left on the disk."""

import random
from collections import Counter
from pathlib import Path

from fault_stage import Points, count_points, kill_self, read_rows, run_child

from equipoise.auditing.job import Audit, run_audit
from equipoise.errors import RunError
from equipoise.runs import check_run, load_run, read_part

SEED = 0


def kill_often(audit: Audit, scratch: Path, *, kills: int) -> list[str]:
    """Kill `kills` audits; every one that was killed goes on until it is killed again or ends.

    The first kills take every point in turn, all others are random; a run that goes on passes
    fewer points, and ends when none of them is the one.
    """
    names = count_points(audit, scratch / "whole")
    whole = read_rows(load_run(scratch / "whole"))
    clock = random.Random(SEED)
    done: Counter[str] = Counter()
    broken, different, runs = 0, 0, 0
    while done.total() < kills:
        runs += 1
        out = scratch / f"killed-{runs}"
        at = runs - 1 if runs <= len(names) else clock.randrange(len(names))
        while _is_killed(audit, out, at):
            done[names[at]] += 1  # every write passes the same points in the same order
            broken += count_broken(out)
            at = clock.randrange(len(names))
        run_audit(audit, out)
        finished = load_run(out)
        rows = read_rows(finished)
        different += not rows.equals(whole) or set(check_run(out).values()) != {"ok"}
    by_point = ", ".join(f"{count} {name}" for name, count in done.most_common())
    return [
        f"**Kills.** {done.total()} times SIGKILL inside a write ({by_point}), in {runs} audits of "
        f"{len(whole)} items that then went on; the first of these kills take the {len(names)} "
        "points of an audit in turn.",
        "",
        f"- Visible files that could not be read after a kill: {broken}.",
        "- Audits whose rows in the end differ from the unbroken one's in any column or number, "
        f"or whose files differ from their hashes: {different}.",
    ]


def _is_killed(audit: Audit, out: Path, at: int) -> bool:
    points = Points(kill_self, at)

    def work() -> None:
        with points.installed():
            run_audit(audit, out)

    return run_child(work) != 0


def count_broken(out: Path) -> int:
    """Count visible files that are not whole: items, tensors and the record."""
    broken = 0
    for part in (out / "items").glob("part-*.parquet"):
        try:
            read_part(part)
        except RunError:
            broken += 1
    if (out / "run.json").exists():
        try:
            load_run(out)
            broken += sum(state == "damaged" for state in check_run(out).values())
        except RunError:
            broken += 1
    return broken
