"""Kill an audit of 3,000 images again and again, and compare its rows with an unbroken one's.

    .venv/bin/python benchmarks/kill_audit.py > docs/faults.md

The images are fresh outputs of the zoo model, saved as PNG. Each round starts the command line in
a process of its own and kills it with SIGKILL after a random time.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine
from PIL import Image

from equipoise.bench.outputs import generate_outputs
from equipoise.runs import LOCK, Run, check_run, load_run
from equipoise.zoo.package import load_zoo

NUM_IMAGES = 3000
KILLS = 12
SEED = 202


def save_images(folder: Path) -> None:
    """Save fresh outputs as PNG."""
    folder.mkdir()
    outputs = generate_outputs(load_zoo("edm-fashion"), NUM_IMAGES, seed=SEED, stream="faults")
    for index, picture in enumerate(outputs.pictures):
        Image.fromarray(picture[0].numpy()).save(folder / f"{index:05d}.png")


def build_command(images: Path, out: Path) -> list[str]:
    """Write the command line of the audit."""
    command = Path(sys.executable).parent / "equipoise"
    return [str(command), "audit", str(images), "--out", str(out)]


def start_audit(images: Path, out: Path) -> subprocess.Popen:
    """Start the audit and wait until it holds the run folder."""
    process = subprocess.Popen(
        build_command(images, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    lock = out / LOCK
    while not (lock.exists() and lock.read_text() == str(process.pid)):
        assert process.poll() is None, "the audit ended by itself"
        time.sleep(0.01)
    return process


def run_audit(images: Path, out: Path) -> tuple[Run, float]:
    """Run an audit to its end; return it, and the seconds until its first part was written."""
    process = start_audit(images, out)
    start = time.perf_counter()
    while not count_parts(out):
        time.sleep(0.01)
    first = time.perf_counter() - start
    assert process.wait() == 0
    return load_run(out), first


def kill_audit(images: Path, out: Path, *, after: float) -> int:
    """Start the audit, kill it some seconds after it holds the folder; count its parts."""
    process = start_audit(images, out)
    time.sleep(after)
    assert process.poll() is None, "the audit was finished before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return count_parts(out)


def count_parts(out: Path) -> int:
    """Count the parts on the disk."""
    return len(list((out / "items").glob("part-*.parquet")))


def main() -> None:
    """Break, resume, compare, and print the page."""
    clock = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        images, whole, broken = (Path(scratch) / name for name in ("images", "whole", "broken"))
        save_images(images)
        unbroken, first = run_audit(images, whole)
        seconds = unbroken.record.cost["parts"]["read and score"]["seconds"]
        num_parts = count_parts(whole)
        # A third of the kills come while the model is looked over, the others among the parts.
        left = [
            kill_audit(
                images, broken, after=clock.uniform(0.7 * first, first + seconds / num_parts)
            )
            for _ in range(KILLS)
        ]
        resumed, _ = run_audit(images, broken)
        equal = resumed.read_items().equals(unbroken.read_items())
        sound = set(check_run(broken).values()) == {"ok"}
    lines = [
        "# Faults",
        "",
        f"`python benchmarks/kill_audit.py`: an audit of {NUM_IMAGES:,} images, "
        f"{seconds:.0f} s when nothing disturbs it, killed with SIGKILL {KILLS} times at random "
        "moments.",
        "",
        f"- Whole parts on the disk after each kill, of {num_parts}: {', '.join(map(str, left))}.",
        f"- Rows equal to those of the unbroken audit, every column: {'yes' if equal else 'NO'}.",
        f"- Every file as hashed in its record: {'yes' if sound else 'NO'}.",
        "",
        f"{describe_machine()}.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
