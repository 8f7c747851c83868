"""An audit that several processes of one launcher share: `torchrun -m equipoise audit`.

Rank 0 holds the run folder, says which parts are missing, and alone writes. Every rank scores each
`world_size`-th of them on the GPU of its local rank, and hands one after the other to rank 0. When
one rank dies the launcher ends the others; the same command then goes on with what is missing.
"""

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from equipoise.auditing.item import ScoredPart
from equipoise.auditing.job import Audit, Engine, score_parts
from equipoise.auditing.parts import check_same
from equipoise.errors import BadInputError, RunError

PATIENCE = timedelta(days=7)
"""How long one rank waits for another's part; that of a rank that died is noticed at once."""


def find_rank() -> int:
    """Say which process of its launcher this one is.

    Raises:
        BadInputError: when none started it.
    """
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        raise BadInputError(
            'The engine "torchrun" needs the processes of that launcher. Start it so: torchrun '
            "--nproc-per-node N -m equipoise audit ... --engine torchrun."
        )
    return int(os.environ["RANK"])


def choose_device(device: str) -> str:
    """Name the GPU of this rank, where GPUs are asked for."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


@contextmanager
def share(audit: Audit) -> Iterator[Engine]:
    """Yield, in rank 0, the engine that scores with all ranks; they are released at the end."""
    with _connect():
        told = False

        def engine(_: Audit, parts: list[int]) -> Generator[tuple[int, ScoredPart]]:
            nonlocal told
            told = True
            dist.broadcast_object_list([(parts, audit.describe())])
            yield from _score_share(audit, parts)

        try:
            yield engine
        finally:
            if not told:  # nothing was missing, or rank 0 failed before it came to that
                dist.broadcast_object_list([([], {})])


def assist(audit: Audit) -> None:
    """Score the share of a rank other than 0.

    Raises:
        BadInputError: when this rank finds another pile, model or calibration than rank 0.
    """
    with _connect():
        told: list[tuple[list[int], dict]] = [([], {})]
        dist.broadcast_object_list(told)
        parts, spec = told[0]
        check_same(audit, spec)
        for _ in _score_share(audit, parts):
            pass


def _score_share(audit: Audit, parts: list[int]) -> Generator[tuple[int, ScoredPart]]:
    """Score each `world_size`-th part; rank 0 yields those of all ranks, round by round."""
    rank, world = dist.get_rank(), dist.get_world_size()
    own = score_parts(audit, parts[rank::world])
    for _ in range(0, len(parts), world):
        found: list[Any] = [None] * world
        scored = next(own, None)
        try:
            dist.gather_object(scored, found if rank == 0 else None)
        except RuntimeError as error:
            raise RunError(
                "Another process of this audit ended before its part was scored; its own message "
                "says why. Start the same command again to go on."
            ) from error
        yield from (one for one in found if one is not None)


@contextmanager
def _connect() -> Iterator[None]:
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"] and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: nothing leaves it
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
