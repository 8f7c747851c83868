"""Audit ten thousand, a hundred thousand, a million generated pictures of 16 px.

    python benchmarks/scale_audit.py 10000 100000 1000000 > docs/scale-audit.md

The pictures lie in one Parquet file as PNG: held-out Fashion-MNIST, each with noise of its own, so
that no two are equal. Every audit, every page and every call on a finished run is a process of
its own, whose largest resident memory is the kernel's.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from equipoise.runs import build_provenance, load_run
from equipoise.zoo.package import load_zoo

MODEL = "zoo:edm-fashion"
GROUP = 10_000
NOISE = 6
HEAD = [
    "images",
    "read and scored",
    "rows/s",
    "answer",
    "page",
    "finished again",
    "memory",
    "page's",
]


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


def measure(*words: str) -> tuple[float, float]:
    """Run a command; return its seconds and its largest resident memory in MB."""
    command = Path(sys.executable).parent / "equipoise"
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(command), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - start, used.ru_maxrss / 1024


def audit(count: int, scratch: Path) -> list[str]:
    """Audit `count` pictures; return a row of the table."""
    pictures, out = scratch / f"{count}.parquet", scratch / f"run-{count}"
    write_pictures(pictures, count)
    words = ("audit", str(pictures), "--model", MODEL, "--out", str(out))
    _, memory = measure(*words)
    again, _ = measure(*words)
    page, page_memory = measure("report", str(out))
    record = load_run(out).record
    parts = record.cost["parts"]
    scoring, answer = (parts[name]["seconds"] for name in ("read and score", "answer"))
    assert record.results["items"] == count, json.dumps(record.results)
    return [
        f"{count:,}", f"{scoring:.0f} s", f"{count / scoring:.0f}", f"{answer:.1f} s",
        f"{page:.1f} s", f"{again:.1f} s", f"{memory:.0f} MB", f"{page_memory:.0f} MB",
    ]  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", type=int, nargs="+", help="pictures of each audit")
    counts = parser.parse_args().counts
    with tempfile.TemporaryDirectory() as scratch:
        rows = [audit(count, Path(scratch)) for count in counts]
    made = build_provenance()
    lines = [
        "# Audits of many small pictures",
        "",
        f"`python benchmarks/scale_audit.py {' '.join(map(str, counts))}`: generated PNG of 16 px "
        f"in one Parquet file through `{MODEL}`, four draws each.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "Memory is the largest resident size of the process. *Page* is `equipoise report`, "
        "*finished again* the same audit called once more; both with the 2 to 4 s that importing takes.",
        "",
        f"Machine: {made['processor']}, Python {made['python']}, torch {made['torch']}, "
        f"{made['time'][:10]}; other work ran beside it.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
