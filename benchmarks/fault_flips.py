"""Flip single bits in a finished run, and see who notices."""

import random
from pathlib import Path

from fault_stage import read_rows

from equipoise.auditing.job import Audit, run_audit
from equipoise.errors import RunError
from equipoise.runs import check_run, read_part

SEED = 0


def flip_bits(audit: Audit, scratch: Path, *, flips: int) -> list[str]:
    """Flip a bit of a file of items `flips` times, each time of the sound file."""
    run = run_audit(audit, scratch / "run")
    part = run.list_parts()[0]
    sound, rows = part.read_bytes(), read_part(part)
    clock = random.Random(SEED)
    unnoticed, silent, refused = 0, 0, 0
    for _ in range(flips):
        changed = bytearray(sound)
        changed[clock.randrange(len(changed))] ^= 1 << clock.randrange(8)
        part.write_bytes(changed)
        unnoticed += set(check_run(run.path).values()) == {"ok"}
        try:
            silent += not read_part(part).equals(rows)
        except RunError:
            refused += 1
    part.write_bytes(sound)
    assert read_rows(run).num_rows == len(audit.pile)
    return [
        f"**Bits.** {flips} single bits flipped in a file of items of a finished run.",
        "",
        f"- Not noticed by `equipoise runs check`: {unnoticed}.",
        f"- Read without that check: {refused} refused, {silent} read with other values and no word, "
        f"{flips - refused - silent} harmless.",
    ]
