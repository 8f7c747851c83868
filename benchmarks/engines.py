"""The same audit by every engine on one machine: the rows, and the time.

    python benchmarks/engines.py [COUNT] > docs/engines.md

needs Ray (`pip install "equipoise[ray]"`), and a machine with nothing else to do. Every audit is a
command of its own, with one thread a worker. What an engine costs by itself is the time with one
worker against the time of no engine; the second start of a finished audit asks for no part.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine
from scale_audit import MODEL, write_pictures
from scale_kills import hash_rows

HERE = [sys.executable, "-m", "equipoise"]
RANKS = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
ENGINES = {
    "local": (HERE, []),
    "ray, 1 worker": (HERE, ["--engine", "ray", "--workers", "1"]),
    "ray, 2 workers": (HERE, ["--engine", "ray", "--workers", "2"]),
    "torchrun, 1 process": ([*RANKS, "1", "-m", "equipoise"], ["--engine", "torchrun"]),
    "torchrun, 2 processes": ([*RANKS, "2", "-m", "equipoise"], ["--engine", "torchrun"]),
}


def measure(head: list[str], tail: list[str], pictures: Path, out: Path) -> float:
    """Run an audit and return the seconds it took."""
    words = ["audit", str(pictures), "--model", MODEL, "--out", str(out), *tail]
    start = time.perf_counter()
    subprocess.run(
        [*head, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the page."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rows, known = [], None
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_pictures(scratch / "p.parquet", count)
        for name, (head, tail) in ENGINES.items():
            out = scratch / name.replace(", ", "-").replace(" ", "-")
            seconds = measure(head, tail, scratch / "p.parquet", out)
            again = measure(head, tail, scratch / "p.parquet", out)
            digest = hash_rows(out)
            known = known or (digest, seconds)
            same = "yes" if digest == known[0] else "NO"
            rows.append(
                f"| {name} | {seconds:.0f} | {seconds / known[1]:.2f} | {again:.0f} | {same} |"
            )
    print("# Engines\n")
    print(f"`python benchmarks/engines.py {count}`: {count:,} pictures of 16 px through")
    print(f"`{MODEL}`, one thread a worker. *Again*: the same command on the finished run.")
    print("*Same rows*: SHA-256 over", end=" ")
    print("every column of every row is that of the local audit.\n")
    print("| engine | seconds | against local | again, s | same rows |\n|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{describe_machine()}.")


if __name__ == "__main__":
    main()
