"""Break audits in every way there is a name for, and count what was lost.

    make faults                                    all, into docs/faults-inside.md
    python benchmarks/faults.py --sample           a fiftieth of it, in seconds

The real command line is killed by `kill_audit.py`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fault_flips import flip_bits
from fault_kills import kill_often
from fault_pictures import audit_hostile
from fault_races import race
from fault_stage import build_audit
from fault_writes import fail_every_write
from machine import describe_machine


def run_all(scratch: Path, *, sample: bool) -> list[str]:
    """Run every campaign, whole or as a sample; return the lines of the page."""
    audit = build_audit(scratch / "images")
    sections = [
        kill_often(audit, scratch / "kills", kills=12 if sample else 600),
        fail_every_write(audit, scratch / "writes", every=11 if sample else 1),
        race(scratch / "races", writers=8 if sample else 50, rounds=5 if sample else 20),
        flip_bits(audit, scratch / "flips", flips=20 if sample else 400),
        audit_hostile(
            audit, scratch / "pictures", cuts=20 if sample else 400, flips=40 if sample else 3000
        ),
    ]
    return [line for section in sections for line in (*section, "")]


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lines = run_all(Path(scratch), sample=words.sample)
    page = [
        "# Faults inside audits",
        "",
        f"`python benchmarks/faults.py{' --sample' if words.sample else ''}`: audits are killed, "
        "starved, raced and fed with damage. What is broken, lost, different or owned twice "
        "should be 0; the second line of *Bits* says what checksums are for. The real command "
        "line, killed at random moments: [faults](faults.md).",
        "",
        *lines,
        f"{describe_machine()}.",
    ]
    sys.stdout.write("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
