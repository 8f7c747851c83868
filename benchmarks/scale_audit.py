"""Audit ten thousand, a hundred thousand, a million generated pictures of 16 px.

    python benchmarks/scale_audit.py 10000 100000 1000000 --kills 10 > docs/scale.md

The pictures lie in one Parquet file as PNG: held-out Fashion-MNIST, each with noise of its own, so
that no two are equal. Every audit, every page and every call on a finished run is a process of
its own, whose processor time and largest resident memory are the kernel's. Of the smallest audit
come the constants of a cost model; the larger ones say what its predictions are worth, and the
largest is what is said of a very large one.

With `--kills`, the largest audit runs once more beside all this, is killed so many times at random
numbers of parts, and its rows are compared with those of the unbroken audit.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import describe_machine
from PIL import Image
from scale_kills import PART, hash_rows, kill_at_parts

from equipoise.runs import Run, load_run, read_part, update_run, write_items
from equipoise.zoo.package import load_zoo

MODEL = "zoo:edm-fashion"
GROUP = 10_000
NOISE = 6
WRITTEN = 20
"""Parts that are written anew, to time it."""
LARGE = 100_000_000
HEAD = (
    "images", "wall time, s", "processor, s", "images a processor second", "last step, s",
    "page, s", "called again, s", "memory, MB", "page's memory, MB", "on the disk, MB",
)  # fmt: skip


@dataclass(frozen=True)
class Used:
    """What a process took: seconds, processor seconds, largest resident memory in MB."""

    seconds: float
    processor: float
    memory: float


@dataclass(frozen=True)
class Measured:
    """What an audit of `count` pictures took."""

    count: int
    audit: Used
    again: Used
    page: Used
    resumed: Used
    """The audit once more with all parts there: the last step."""
    size: float
    """MB of the run folder."""
    write: float
    """Seconds to write one part and flush it to the disk, the fastest of several."""

    @property
    def each(self) -> float:
        """Processor seconds an image, without what it takes to start."""
        return (self.audit.processor - self.again.processor) / self.count

    @property
    def answer(self) -> float:
        """Processor seconds of the last step an image."""
        return (self.resumed.processor - self.again.processor) / self.count

    def list_cells(self) -> list[str]:
        """Write a row of the table."""
        return [
            f"{self.count:,}", f"{self.audit.seconds:.0f}", f"{self.audit.processor:.0f}",
            f"{1 / self.each:.0f}", f"{self.count * self.answer:.1f}",
            f"{self.page.processor:.1f}", f"{self.again.processor:.1f}",
            f"{self.audit.memory:.0f}", f"{self.page.memory:.0f}", f"{self.size:.0f}",
        ]  # fmt: skip


def write_pictures(path: Path, count: int) -> None:
    """Write the Parquet file, a row group at a time."""
    plain = load_zoo(MODEL.partition(":")[2]).held_out[:, 0].numpy()
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("image", pa.binary())]), compression="none") as writer:
        for start in range(0, count, GROUP):
            size = min(GROUP, count - start)
            noise = rng.integers(-NOISE, NOISE + 1, (size, *plain.shape[1:]))
            rows = plain[rng.integers(len(plain), size=size)] + noise
            encoded = [_encode(row) for row in rows.clip(0, 255).astype(np.uint8)]
            writer.write_table(pa.table({"image": encoded}))


def _encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def measure(*words: str) -> Used:
    """Run a command and say what it took."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "equipoise", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    processor = used.ru_utime + used.ru_stime
    return Used(time.perf_counter() - start, processor, used.ru_maxrss / 1024)


def list_words(scratch: Path, count: int, out: Path) -> list[str]:
    """Write the command of an audit."""
    return ["audit", str(scratch / f"{count}.parquet"), "--model", MODEL, "--out", str(out)]


def audit(count: int, scratch: Path) -> Measured:
    """Audit `count` pictures."""
    out = scratch / f"run-{count}"
    words = list_words(scratch, count, out)
    used, again, page = measure(*words), measure(*words), measure("report", str(out))
    run = load_run(out)
    assert run.record.results["items"] == count, json.dumps(run.record.results)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    items = run.read_items(["id", "score", "q_value", "verdict"])
    update_run(run, results={})  # as if it had been killed before the last step
    resumed = measure(*words)
    assert load_run(out).read_items(items.column_names).equals(items)
    write = time_writing(run, scratch / f"written-{count}")
    return Measured(count, used, again, page, resumed, size / 1e6, write)


def time_writing(run: Run, beside: Path) -> float:
    """Write parts anew, as an audit does; return the seconds of the fastest."""
    table = read_part(run.list_parts()[0])
    seconds = []
    for part in range(WRITTEN):
        start = time.perf_counter()
        write_items(Run(beside, run.record), table, part=part)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def break_largest(scratch: Path, count: int, kills: int) -> list[int]:
    """Run the largest audit once more, and kill it again and again."""
    out = scratch / "broken"
    return kill_at_parts(list_words(scratch, count, out), out, count=count, kills=kills)


def compare(scratch: Path, count: int, left: list[int]) -> list[str]:
    """Say whether the audit that was killed has the rows of the unbroken one."""
    whole, broken = hash_rows(scratch / f"run-{count}"), hash_rows(scratch / "broken")
    same = "the same" if whole == broken else f"NOT the same ({broken})"
    return [
        "## Killed and resumed",
        "",
        f"The audit of {count:,} once more, killed with SIGKILL {len(left)} times, at "
        f"{', '.join(f'{parts:,}' for parts in left)} of {-(-count // PART):,} parts, and started "
        f"again each time. SHA-256 over every column of every row: unbroken {whole}; killed: "
        f"{same}. All files of both are as hashed in their records.",
        "",
    ]


def predict(known: Measured, others: list[Measured]) -> list[str]:
    """Say what the constants of one audit predict of larger ones, and of a very large one."""
    start, each, answer = known.again.processor, known.each, known.answer
    largest = [known, *others][-1]
    lines = [
        f"Constants, of the audit of {known.count:,}: {start:.1f} processor seconds to start; "
        f"{1e3 * each:.2f} ms of one processor an image, {1e3 * answer:.3f} ms of them in the "
        f"last step; {1e3 * known.write:.1f} ms to write a part of {PART}; "
        f"{1e6 * known.size / known.count:.0f} bytes on the disk an image.",
        "",
        "| images | predicted, processor seconds | measured | measured / predicted |",
        "|---|---|---|---|",
    ]
    for other in others:
        told, found = start + each * other.count, other.audit.processor
        lines.append(f"| {other.count:,} | {told:.0f} | {found:.0f} | {found / told:.2f} |")
    each, answer, size = largest.each, largest.answer, largest.size / largest.count
    lines += [
        "",
        f"Of the audit of {largest.count:,}, where what an audit does once weighs least: "
        f"{1e3 * each:.2f} ms an image, {1e3 * answer:.3f} ms of them in the last step; "
        f"{1e6 * size:.0f} bytes on the disk. N images on W workers take about "
        "`max(N (each - last) / W, N / 256 x write) + N last` seconds: workers score while one "
        "process writes, and the last step is one process's. For "
        f"{LARGE:,} of these images that is (predicted; nobody has run it)",
        "",
        "| workers | scoring, h | writing meanwhile, h | last step, h | together, h |",
        "|---|---|---|---|---|",
    ]
    writing, last = LARGE / PART * known.write / 3600, LARGE * answer / 3600
    for workers in (2, 64, 1024):
        scoring = LARGE * (each - answer) / workers / 3600
        total = max(scoring, writing) + last
        lines.append(f"| {workers:,} | {scoring:.1f} | {writing:.1f} | {last:.1f} | {total:.1f} |")
    return [*lines, "", f"and {LARGE * size / 1e3:.0f} GB on the disk."]


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", type=int, nargs="+", help="pictures of each audit, ascending")
    parser.add_argument("--kills", type=int, default=0, help="of the largest audit, once more")
    words = parser.parse_args()
    counts, kills = words.counts, words.kills
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for count in counts:
            write_pictures(scratch / f"{count}.parquet", count)
        with ThreadPoolExecutor(1) as beside:
            broken = beside.submit(break_largest, scratch, counts[-1], kills) if kills else None
            found = [audit(count, scratch) for count in counts]
            resumed = compare(scratch, counts[-1], broken.result()) if broken else []
    lines = [
        "# Audits of many pictures",
        "",
        f"`python benchmarks/scale_audit.py {' '.join(map(str, counts))}"
        f"{f' --kills {kills}' if kills else ''}`: generated PNG of 16 px "
        f"in one Parquet file through `{MODEL}`, four draws each, one thread.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(one.list_cells())} |" for one in found),
        "",
        "Seconds are those of the processor, but for the first column. *Called again*: the same "
        "command on the finished run, which is what it takes to start; the columns before leave "
        "that out. *Last step*: what a run still needs that was killed before it. *Page*: "
        "`equipoise report`. Memory is the largest resident size of the process.",
        "",
        "## What larger audits cost",
        "",
        *predict(found[0], found[1:]),
        "",
        *resumed,
        f"{describe_machine()}. Other work ran beside it: wall time says little.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
