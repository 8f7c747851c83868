"""Audit a folder of hostile pictures: cut, flipped, bombs, odd modes and odd names."""

import io
import random
import resource
import struct
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from equipoise.auditing.job import Audit, run_audit
from equipoise.auditing.pile import PicturePile

SEED = 0
FORMATS = {"png": "RGB", "jpg": "RGB", "webp": "RGB", "gif": "P", "bmp": "RGB", "tiff": "RGB"}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr")
NAMES = ("a\nb.png", "caf\u00e9.png", "\u202egnp.exe.png", "-rf.png", " .png", "x" * 251 + ".png")


def encode(suffix: str, mode: str) -> bytes:
    """Encode a picture of noise."""
    pixels = np.random.default_rng(SEED).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    name = {"jpg": "JPEG"}.get(suffix, suffix.upper())
    Image.fromarray(pixels).convert(mode).save(buffer, name)
    return buffer.getvalue()


def build_bomb(side: int) -> bytes:
    """Write a small PNG that says it has `side` x `side` pixels; the first rows are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    packer = zlib.compressobj(9)
    row = bytes(min(side, 60_000) + 1)
    rows = b"".join(packer.compress(row) for _ in range(300))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(
        b"IDAT", rows + packer.flush()
    ) + chunk(b"IEND", b"")  # fmt: skip


def write_corpus(root: Path, *, cuts: int, flips: int) -> Counter[str]:
    """Write the corpus; return how many files of each kind there are."""
    clock = random.Random(SEED)
    sound = {suffix: encode(suffix, mode) for suffix, mode in FORMATS.items()}
    counts: Counter[str] = Counter()

    def put(kind: str, name: str, content: bytes) -> None:
        (root / kind).mkdir(parents=True, exist_ok=True)
        (root / kind / name).write_bytes(content)
        counts[kind] += 1

    for index in range(cuts):
        suffix, content = clock.choice(list(sound.items()))
        put("cut", f"{index}.{suffix}", content[: clock.randrange(len(content))])
    for index in range(flips):
        suffix, content = clock.choice(list(sound.items()))
        changed = bytearray(content)
        changed[clock.randrange(len(changed))] ^= 1 << clock.randrange(8)
        put("flipped", f"{index}.{suffix}", bytes(changed))
    for side in (9_000, 60_000, 2**31 - 1):
        put("bombs", f"{side}.png", build_bomb(side))
    for mode in MODES:
        suffix = "tiff" if mode in ("I;16", "I", "F", "CMYK", "YCbCr", "LA") else "png"
        put("modes", f"{mode.replace(';', '-')}.{suffix}", encode_mode(suffix, mode))
    for name in NAMES:
        put("names", name, sound["png"])
    return counts


def encode_mode(suffix: str, mode: str) -> bytes:
    """Encode a grey ramp in a mode of Pillow."""
    buffer = io.BytesIO()
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    wide = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    if mode in wide:
        image = Image.fromarray(np.asarray(grey).astype(wide[mode]) * 200)
    else:
        image = (
            grey.convert("RGB").convert(mode)
            if mode not in ("1", "L", "LA")
            else grey.convert(mode)
        )
    image.save(buffer, suffix.upper())
    return buffer.getvalue()


def audit_hostile(audit: Audit, scratch: Path, *, cuts: int, flips: int) -> list[str]:
    """Audit the corpus; every file must be a row, with a score or with a reason."""
    root = scratch / "hostile"
    counts = write_corpus(root, cuts=cuts, flips=flips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = run_audit(replace(audit, pile=PicturePile(root, (1, 8, 8))), scratch / "run")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rows = run.read_items(["source", "score", "error"]).to_pylist()
    kinds = Counter(row["source"].partition("/")[0] for row in rows)
    neither = sum((row["score"] is None) == (row["error"] is None) for row in rows)
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return [
        f"**Pictures.** One audit of {counts.total()} hostile files: {listed}.",
        "",
        f"- Rows: {len(rows)}; kinds whose rows are not as many as their files: "
        f"{sum(kinds[kind] != count for kind, count in counts.items())}; rows with neither or both "
        f"of score and reason: {neither}.",
        f"- Scored {sum(row['score'] is not None for row in rows)}, refused with a reason "
        f"{sum(row['error'] is not None for row in rows)}; peak memory grew by {grown:.0f} MB.",
    ]
