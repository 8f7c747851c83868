"""Kill a large audit again and again, and hash its rows."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa

from equipoise.runs import LOCK, check_run, load_run, read_part

PART = 256
LOOK = 0.5
"""Seconds between two looks at what is on the disk."""


def kill_at_parts(words: list[str], out: Path, *, count: int, kills: int) -> list[int]:
    """Start an audit of `count` pictures, kill it at random numbers of parts, let it end.

    Returns the parts on the disk after each kill.
    """
    parts = -(-count // PART)
    clock = random.Random(0)
    left = []
    for target in sorted(clock.sample(range(parts // 100, parts - parts // 100), kills)):
        process = _start(words)
        while _count_parts(out) <= target or not _is_held(out, process.pid):
            assert process.poll() is None, "the audit ended before it was killed"
            time.sleep(LOOK)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left.append(_count_parts(out))
    assert _start(words).wait() == 0
    return left


def hash_rows(out: Path) -> str:
    """Hash every column of every row, in order, after the record's own hashes were verified."""
    assert set(check_run(out).values()) == {"ok"}
    digest = hashlib.sha256()
    for part in load_run(out).list_parts():
        table = read_part(part).combine_chunks()
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        digest.update(stream.getvalue())
    return digest.hexdigest()


def _start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "equipoise", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _count_parts(out: Path) -> int:
    return len(list((out / "items").glob("part-*.parquet")))


def _is_held(out: Path, pid: int) -> bool:
    lock = out / LOCK
    return lock.exists() and lock.read_text() == str(pid)
