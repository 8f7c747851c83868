"""Watch a training, and hold one run against another: both read run folders only."""

from collections.abc import Mapping
from typing import Any

from equipoise.errors import BadInputError
from equipoise.report import render_against
from equipoise.report.boundary import tell_misfit
from equipoise.report.monitor import build_monitor
from equipoise.studio.context import Studio, get_text
from equipoise.studio.library import find_run
from equipoise.studio.page import render_result
from equipoise.studio.task import Progress, Work


def watch_run(studio: Studio, fields: Mapping[str, Any]) -> Work:
    """Show how far a monitored training has come."""
    yield Progress(0, 1, "reading the run")
    run = find_run(studio.runs, get_text(fields, "run"))
    if run.record.kind != "monitor":
        raise BadInputError("This run is no monitor's; choose one that is.")
    with tell_misfit(run):
        return render_result("watch", **build_monitor(run), key=get_text(fields, "run"))


def compare_runs(studio: Studio, fields: Mapping[str, Any]) -> Work:
    """Write the page of two runs of one kind."""
    yield Progress(0, 1, "comparing")
    later, earlier = get_text(fields, "later"), get_text(fields, "earlier")
    run, other = find_run(studio.runs, later), find_run(studio.runs, earlier)
    render_against(run.path, other.path)
    return render_result("compare", key=later, names=(run.path.name, other.path.name))
