"""Run folder -> report.html: pick the page of the run's kind, fill its template, write it whole.

A page is a pure function of the run folder: rendered twice it is the same bytes. It asks for
nothing from outside and runs no script; its content security policy forbids both. What a page of
one kind says is in the file of that kind (`demo.py`, `audit.py`) and in `templates/KIND.html.j2`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from equipoise.errors import RunError
from equipoise.report.adapter import build_adapter
from equipoise.report.against import build_against
from equipoise.report.audit import build_audit
from equipoise.report.bench import build_bench
from equipoise.report.boundary import tell_misfit
from equipoise.report.demo import build_demo
from equipoise.report.duplicates import build_duplicates
from equipoise.report.monitor import build_monitor
from equipoise.report.phase import build_phase
from equipoise.report.reference_sweep import build_reference_sweep
from equipoise.report.steering import build_steering
from equipoise.report.sweep import build_sweep
from equipoise.report.theory import build_theory
from equipoise.report.verification import build_verification
from equipoise.report.wording import FILTERS, place
from equipoise.report.zoo import build_zoo
from equipoise.runs import Run, load_run
from equipoise.runs.atomic import write_atomic

PAGES: Mapping[str, Callable[[Run], dict[str, Any]]] = {
    "adapter": build_adapter, "audit": build_audit, "bench": build_bench,
    "demo": build_demo, "duplicates": build_duplicates, "phase": build_phase,
    "reference-sweep": build_reference_sweep, "steering": build_steering, "sweep": build_sweep,
    "theory": build_theory, "verification": build_verification, "zoo": build_zoo,
}  # fmt: skip
"""For each kind of run, what builds the values of its template."""
WATCHED: Mapping[str, Callable[[Run], dict[str, Any]]] = {"monitor": build_monitor}
"""The same for runs whose page can be rendered while they go on."""


def render_report(path: Path) -> Path:
    """Write `path/report.html` from the run folder `path`.

    Args:
        path: a run folder of a kind that has a page; finished, but for a monitor's.

    Returns:
        The path of the page.

    Raises:
        RunError: when the folder is no finished run, is incomplete, holds what its page cannot
            show, or has a kind without page.
    """
    run = load_run(path)
    build = _get_page(run)
    template = build_environment("report").get_template(f"{run.record.kind}.html.j2")
    page = path / "report.html"
    with tell_misfit(run):
        content = template.render(build(run)).encode()
    write_atomic(page, content)
    return page


def render_against(path: Path, other: Path) -> Path:
    """Write `path/against.html`: the run in `path` held against another one of its kind.

    Raises:
        RunError: when one is no run, is damaged, or the two are of different kinds.
    """
    template = build_environment("report").get_template("against.html.j2")
    page = path / "against.html"
    run = load_run(path)
    with tell_misfit(run):
        content = template.render(build_against(run, load_run(other))).encode()
    write_atomic(page, content)
    return page


def _get_page(run: Run) -> Callable[[Run], dict[str, Any]]:
    """Look the page of a run up, or say why there is none."""
    kind, status = run.record.kind, run.record.status
    pages = {**PAGES, **WATCHED}
    if kind not in pages:
        allowed = ", ".join(f'"{name}"' for name in sorted(pages))
        raise RunError(
            f'No report for "{run.path}": its kind is "{kind}". Kinds with a report: {allowed}.'
        )
    if status != "finished" and kind not in WATCHED:
        raise RunError(
            f'No report for "{run.path}": its status is "{status}". '
            "Let the run finish, or start it again in a new folder."
        )
    return pages[kind]


def build_environment(*rooms: str) -> Environment:
    """Read the templates of these rooms: all is escaped, a name one lacks is an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(f"equipoise.{room}") for room in rooms]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(FILTERS)
    environment.globals["place"] = place
    return environment
