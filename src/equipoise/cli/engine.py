"""Who scores the parts of `equipoise audit`: this process, those of torchrun, workers of Ray."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from equipoise.errors import BadInputError

if TYPE_CHECKING:
    from equipoise.auditing.parts import AuditRequest
    from equipoise.runs import Run

Engine = Literal["local", "torchrun", "ray"]


def run_with(
    request: "AuditRequest",
    out: Path,
    *,
    engine: Engine,
    address: str | None,
    workers: int | None,
) -> "Run | None":
    """Run an audit; None in a process of torchrun that only helps with it.

    Raises:
        BadInputError: when Ray's options are given to another engine, or no torchrun started this.
    """
    from equipoise.auditing.job import run_audit
    from equipoise.auditing.parts import build_audit

    if engine != "ray" and (address is not None or workers is not None):
        raise BadInputError(
            "--address and --workers belong to --engine ray; without it they have no meaning. "
            "Leave them out."
        )
    if engine == "torchrun":
        return _run_as_rank(request, out)
    if engine == "ray":
        from equipoise.auditing.cluster import RayEngine

        return run_audit(build_audit(request), out, engine=RayEngine(request, address, workers))
    return run_audit(build_audit(request), out)


def _run_as_rank(request: "AuditRequest", out: Path) -> "Run | None":
    from equipoise.auditing import ranks
    from equipoise.auditing.job import run_audit
    from equipoise.auditing.parts import build_audit

    rank = ranks.find_rank()
    audit = build_audit(replace(request, device=ranks.choose_device(request.device)))
    if rank != 0:
        ranks.assist(audit)
        return None
    with ranks.share(audit) as shared:
        return run_audit(audit, out, engine=shared)
