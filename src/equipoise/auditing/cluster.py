"""An audit whose parts are scored by the workers of a Ray cluster, on this machine or on others.

A worker is told names and paths, loads the model and lists the pictures itself, and refuses when
what it found would make other rows. What it scored goes back to the process that asked, which
alone writes. A worker that dies is started again and scores again what it had in hand; when the
asking process dies, Ray ends its workers, and the next start asks for what is not on the disk.

Without an address Ray is started here for this audit: no dashboard's page, nothing that listens
beyond the loopback interface, and nobody let in without the token of this start.
"""

import logging
import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from equipoise.auditing.item import ScoredPart
from equipoise.auditing.job import Audit, score_parts
from equipoise.auditing.parts import AuditRequest, build_audit, check_same
from equipoise.errors import BadInputError, RunError

BLOCK = 8
"""Parts a worker is asked for at once, at most: it reads ahead among them, and loses them."""
SHARES = 4
"""Blocks for each worker where parts are few, so that all end at nearly the same time."""
RETRIES = 3
"""Times a block is scored again because its worker died."""
LOCAL_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, Ray forms no cluster with other machines and listens on the loopback interface, on
every system; the address of a node, given as a loopback one, is replaced by an outer one."""
STORE = 2**28
"""Bytes of memory for results on their way, where Ray is started here."""


@dataclass(frozen=True)
class RayEngine:
    """Scores parts on a Ray cluster; an `Engine`."""

    request: AuditRequest
    """What the audit was built of."""
    address: str | None = None
    """A cluster that runs, as `ray.init` takes it; None starts one here."""
    workers: int | None = None
    """None: one a processor of the cluster, or one a GPU where the model computes on GPUs."""

    def __call__(self, audit: Audit, parts: list[int]) -> Generator[tuple[int, ScoredPart]]:
        """Score parts, in the order in which workers are done with them.

        Raises:
            BadInputError: when Ray is not installed or cannot be reached, or a worker finds
                another pile, model or calibration than `audit`.
            RunError: when the workers of one block died again and again.
        """
        if not parts:
            return
        with self._open() as ray:
            pool = ray.util.ActorPool(self._start_workers(ray, audit))
            blocks = cut_blocks(parts, self._count_workers(ray))
            try:
                for scored in pool.map_unordered(
                    lambda one, block: one.score.remote(block), blocks
                ):
                    yield from scored
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                raise RunError(
                    f"The workers that had a block of {BLOCK} parts died {RETRIES + 1} times. "
                    "What was written stays: give workers more memory, and start the same again."
                ) from error

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Connect to the cluster, or start one; yields the module `ray`."""
        # Ray reads its environment when it is imported.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self.address is None:
            os.environ.setdefault(LOCAL_ONLY, "0")
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        try:
            import ray  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise BadInputError(
                'The engine "ray" needs Ray: pip install "equipoise[ray]", or leave --engine out.'
            ) from error
        alone = {
            "num_cpus": self.workers,
            "object_store_memory": STORE,
            "include_dashboard": False,
        }
        start: dict[str, Any] = alone if self.address is None else {"address": self.address}
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **start)
        except Exception as error:  # Ray promises no type; one that is slow to start has none
            why = (str(error).splitlines() or [type(error).__name__])[0]
            done = "started" if self.address is None else "reached"
            raise BadInputError(
                f"Ray cannot be {done}: {why} Give the --address of a cluster that runs, or none "
                "to start one here."
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()

    def _count_workers(self, ray: Any) -> int:  # noqa: ANN401 - an optional module
        kind = "GPU" if self._on_gpu() else "CPU"
        return self.workers or max(1, int(ray.cluster_resources().get(kind, 1)))

    def _start_workers(self, ray: Any, audit: Audit) -> list[Any]:  # noqa: ANN401 - see above
        worker = ray.remote(
            num_cpus=1, num_gpus=int(self._on_gpu()), max_restarts=-1, max_task_retries=RETRIES
        )(Worker)
        request, spec = self.request.resolve(), audit.describe()
        return [worker.remote(request, spec) for _ in range(self._count_workers(ray))]

    def _on_gpu(self) -> bool:
        return self.request.device.startswith("cuda")


class Worker:
    """Scores parts in a process of Ray."""

    def __init__(self, request: AuditRequest, spec: dict[str, Any]) -> None:
        self._request = request
        self._spec = spec
        self._audit: Audit | None = None

    def score(self, parts: list[int]) -> list[tuple[int, ScoredPart]]:
        """Score some parts; what is wrong with the audit is told here, where it can be told."""
        if self._audit is None:
            audit = build_audit(self._request)
            check_same(audit, self._spec)
            self._audit = audit
        return list(score_parts(self._audit, parts))


def cut_blocks(parts: list[int], workers: int) -> list[list[int]]:
    """Cut a list of parts into blocks that follow each other."""
    size = max(1, min(BLOCK, len(parts) // (SHARES * workers)))
    return [parts[start : start + size] for start in range(0, len(parts), size)]
