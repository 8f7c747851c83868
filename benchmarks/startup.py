"""Measure how long a user waits before anything happens, and write docs/startup.md.

    python benchmarks/startup.py [REPETITIONS] > docs/startup.md

Each statement runs in a process of its own, in turn, after one round that is not counted (files
come from the disk then). Seconds of the whole process, and the median of the differences to an
empty Python of the same round.
"""

import os
import statistics
import subprocess
import sys
import time

from machine import describe_machine

TYPED = "from equipoise.cli import main; main({})"
STATEMENTS = {
    "an empty Python": "pass",
    "`import equipoise`": "import equipoise",
    "`equipoise --help`": TYPED.format(["--help"]),
    "`equipoise audit --help`": TYPED.format(["audit", "--help"]),
    "`equipoise zoo list`": TYPED.format(["zoo", "list"]),
    "`import torch`": "import torch",
    '`eq.load("zoo:edm-fashion")`': "import equipoise; equipoise.load('zoo:edm-fashion')",
}


def measure(statement: str) -> float:
    """Run Python once and return the seconds of the process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the page."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    rounds = [
        {name: measure(statement) for name, statement in STATEMENTS.items()}
        for _ in range(repetitions + 1)
    ][1:]
    print("# Start-up\n")
    print("What a user waits for before anything happens. Seconds of a whole process, median and")
    print(f"range of {repetitions} rounds, each after the others in turn. `import torch` is there")
    print("for comparison: what loads no torch answers at once.\n")
    print("    python benchmarks/startup.py > docs/startup.md\n")
    print(f"{describe_machine()}; load {os.getloadavg()[0]:.1f} at the end.\n")
    print("| | seconds | range | more than an empty Python |\n|---|---|---|---|")
    for name in STATEMENTS:
        seconds = [one[name] for one in rounds]
        more = statistics.median(one[name] - one["an empty Python"] for one in rounds)
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.2f} | {min(seconds):.2f} to {max(seconds):.2f} | {more:.2f} |")


if __name__ == "__main__":
    main()
