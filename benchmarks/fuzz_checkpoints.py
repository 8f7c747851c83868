"""Change checkpoints at random and open them: nothing but our own error may come out.

    make fuzz                                  # 120,000 mutations into docs/fuzz.md
    .venv/bin/python benchmarks/fuzz_checkpoints.py --count 1000

Three files are changed: a snapshot of EDM (most of the mutations), and a DiT file of torch as a
zip and in the legacy format. A mutation is one to four edits: bits, bytes, numbers at the edge,
pieces left out, doubled, moved or put in, opcodes put in, the end cut off. What survives is
opened to the end: network built, filled and its weights checked.
"""

import argparse
import io
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from edm_snapshot import spread, write_snapshot
from machine import describe_machine

from equipoise.checkpoints.archive import read_archive
from equipoise.checkpoints.opcode import _TABLE
from equipoise.checkpoints.snapshot import read_snapshot
from equipoise.denoisers.dit_file import build_dit_file
from equipoise.denoisers.peebles import PeeblesDiT, PeeblesSpec
from equipoise.denoisers.snapshot import build_from_snapshot
from equipoise.denoisers.song import SongSpec, SongUNet
from equipoise.errors import EquipoiseError

SPEC = {
    "img_resolution": 4, "in_channels": 1, "out_channels": 1, "label_dim": 0,
    "model_channels": 4, "channel_mult": [1], "channel_mult_emb": 1, "num_blocks": 1,
    "attn_resolutions": [],
}  # fmt: skip
SHARES = {"EDM snapshot": 100_000, "DiT file (zip)": 10_000, "DiT file (legacy)": 10_000}
EDGES = (0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


@dataclass
class Outcome:
    """What came of the mutations of one file."""

    mutations: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    slowest: float = 0.0


def build_snapshot() -> bytes:
    """Make a small snapshot of EDM."""
    with torch.device("meta"):
        network = SongUNet(SongSpec.model_validate(SPEC))
    tensors = {f"model.{n}": t for n, t in spread(network.state_dict(), seed=0).items()}
    scalars = {"img_resolution": 4, "img_channels": 1, "label_dim": 0, "sigma_data": 0.5}
    return write_snapshot("EDMPrecond", scalars, "SongUNet", SPEC, tensors)


def build_dit(*, new: bool) -> bytes:
    """Make a small DiT file as torch saves it, as a zip or in the legacy format."""
    spec = PeeblesSpec(
        channels=1,
        out_channels=2,
        grid=2,
        patch=2,
        width=8,
        depth=1,
        heads=2,
        hidden=16,
        classes=3,
    )
    with torch.device("meta"):
        network = PeeblesDiT(spec)
    tensors = spread(network.state_dict(), seed=0)
    file = io.BytesIO()
    torch.save({"ema": tensors, "epoch": 3}, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def open_snapshot(data: bytes) -> None:
    """Open a snapshot to the end."""
    build_from_snapshot(read_snapshot(memoryview(data)))


def open_dit(data: bytes) -> None:
    """Open a DiT file to the end."""
    build_dit_file(read_archive(memoryview(data), io.BytesIO(data)).tensors, heads=2)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change a file by one to four edits."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(changed))
        piece = slice(at, at + chance.randint(1, 40))
        chance.choice(EDITS)(changed, at, piece, chance)
        if not changed:
            return b""
    return bytes(changed)


def _flip(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def _set(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    data[at] = chance.randrange(256)


def _edge(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    size = chance.choice((1, 2, 4, 8))
    data[at : at + size] = (chance.choice(EDGES) % 256**size).to_bytes(size, "little")


def _drop(data: bytearray, _: int, piece: slice, __: random.Random) -> None:
    del data[piece]


def _double(data: bytearray, at: int, piece: slice, _: random.Random) -> None:
    data[at:at] = data[piece]


def _move(data: bytearray, _: int, piece: slice, chance: random.Random) -> None:
    taken = data[piece]
    del data[piece]
    at = chance.randrange(len(data) + 1)
    data[at:at] = taken


def _insert(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    data[at:at] = chance.randbytes(chance.randint(1, 8))


def _program(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    data[at:at] = b"".join(chance.choices(list(_TABLE), k=chance.randint(1, 4)))


def _cut(data: bytearray, at: int, _: slice, chance: random.Random) -> None:
    if chance.random() < 0.1:  # else most files would only be short
        del data[at:]


EDITS = (_flip, _set, _edge, _drop, _double, _move, _insert, _program, _cut)


def fuzz(data: bytes, open_file: Callable[[bytes], None], count: int, seed: int) -> Outcome:
    """Open `count` mutations of a file; anything but our own error is written down."""
    chance = random.Random(seed)
    outcome = Outcome()
    for _ in range(count):
        changed = mutate(data, chance)
        start = time.perf_counter()
        try:
            open_file(changed)
            end = "opened"
        except EquipoiseError as error:
            end = type(error).__name__
        except Exception as error:  # what must not happen
            end = "foreign"
            outcome.foreign.append(f"{type(error).__name__}: {error}")
        outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
        outcome.ends[end] += 1
        outcome.mutations += 1
    return outcome


def main() -> int:
    """Fuzz all three files and print the table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=sum(SHARES.values()))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    files = {
        "EDM snapshot": (build_snapshot(), open_snapshot),
        "DiT file (zip)": (build_dit(new=True), open_dit),
        "DiT file (legacy)": (build_dit(new=False), open_dit),
    }
    ends = ("UnsafeFileError", "BadInputError", "NonFiniteError", "opened", "foreign")
    lines = [f"| file | mutations | {' | '.join(ends)} | slowest, s |", "|---" * 8 + "|"]
    foreign: list[str] = []
    start = time.perf_counter()
    for name, (data, open_file) in files.items():
        share = asked.count * SHARES[name] // sum(SHARES.values())
        outcome = fuzz(data, open_file, share, asked.seed)
        counts = " | ".join(f"{outcome.ends[end]:,}" for end in ends)
        lines.append(f"| {name} | {outcome.mutations:,} | {counts} | {outcome.slowest:.2f} |")
        foreign += outcome.foreign
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        "# Fuzzing\n\n"
        f"`python benchmarks/fuzz_checkpoints.py --count {asked.count} --seed {asked.seed}`: "
        "checkpoints changed at random and opened to the end.\n"
        "Columns: which error refused how many, how many opened (a changed weight is still a "
        "weight), and how many raised anything else.\n\n" + "\n".join(lines) + "\n\n"
        f"Highest memory of the process: {peak:.0f} MiB; {time.perf_counter() - start:.0f} s in "
        f"all, one thread.\n"
        f"{describe_machine()}.\n"
    )
    for line in foreign[:20]:
        sys.stderr.write(line + "\n")
    return 1 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())
