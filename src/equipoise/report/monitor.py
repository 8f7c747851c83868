"""The page of a monitor: what is memorized, since when, and whether to stop.

It can be rendered while the training goes on, and says then how far it has come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from equipoise.report.plot import Line, render_lines
from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.table import flatten
from equipoise.report.wording import format_count, format_number, format_percent
from equipoise.runs import Run

GENERATED = "Outputs against held-out images: there is no stop rule without training images."
GENERATED_REASON = (
    "Fresh outputs stand in for the training images. They are no sample of what is held out, so "
    "the curves need not begin at one half; a rise says that outputs are answered more and more "
    "like memorized images."
)


@dataclass(frozen=True)
class Check:
    """One check, as the record holds it; what is missing is None."""

    step: int
    spikiness: Rate
    residual: Rate
    icr: float | None
    copies: float | None
    p_value: float | None
    level: float | None
    named: int
    stops: bool


@dataclass(frozen=True)
class Name:
    """A training image that is named at the last check."""

    index: int | None
    onset: int | None


def build_monitor(run: Run) -> dict[str, Any]:
    """Build what `monitor.html.j2` shows."""
    results, spec = run.record.results, run.record.spec
    entries = [get_mapping(entry) for entry in get_list(results.get("checks"))]
    checks = [check for entry in entries if (check := _read_check(entry)) is not None]
    names = _list_names(entries[-1]) if entries else []
    stop = get_count(results.get("stop"))
    generated = spec.get("images") == "generated"
    return {
        "running": run.record.status == "running",
        "spec": spec,
        "checks": checks,
        "names": names,
        "stop": stop,
        "generated": generated,
        "sentence": GENERATED if generated else build_sentence(checks, stop, len(names)),
        "reason": GENERATED_REASON if generated else build_reason(checks, stop, spec),
        "split_plot": _draw_split(checks),
        "named_plot": _draw_named(checks, get_count(spec.get("training"))),
        "copies_plot": _draw_copies(checks),
        "spec_rows": flatten(spec),
        "provenance_rows": flatten(run.record.provenance),
        "cost": run.record.cost,
    }


def build_sentence(checks: Sequence[Check], stop: int | None, named: int) -> str:
    """Say in one sentence what is recommended."""
    if not checks:
        return "No check has been made yet."
    told = f"{format_count(named)} of the watched training images are named as memorized"
    if stop is None:
        return f"Go on: no alarm up to step {format_count(checks[-1].step)}; {told}."
    return f"Stop at step {format_count(stop)}: memorization has begun; {told} now."


def build_reason(checks: Sequence[Check], stop: int | None, spec: Mapping[str, Any]) -> str:
    """Say why, with the rate of the rule."""
    rate = get_number(spec.get("false_stops"))
    promise = (
        f"The rule stops a training that treats its images as held-out ones with a chance of at "
        f"most {format_percent(rate)} over all of its checks."
    )
    alarm = next((check for check in checks if check.step == stop), None)
    if alarm is None:
        return f"At no check do training images stand out from held-out ones. {promise}"
    before = [check for check in checks if check.step < alarm.step]
    kept = (
        f" The last check without an alarm was at step {format_count(before[-1].step)}."
        if before
        else " It was the first check: memorization may have begun earlier."
    )
    p_value, level = format_number(alarm.p_value, 2), format_number(alarm.level, 2)
    return (
        f"Training images stand out from held-out ones: p = {p_value}, where the rule stops at "
        f"{level}.{kept} {promise}"
    )


def _read_check(entry: Mapping[str, Any]) -> Check | None:
    step = get_count(entry.get("step"))
    if step is None:
        return None
    return Check(
        step=step,
        spikiness=get_rate(entry.get("spikiness")),
        residual=get_rate(entry.get("residual")),
        icr=get_number(entry.get("icr")),
        copies=get_number(entry.get("copies")),
        p_value=get_number(entry.get("p_value")),
        level=get_number(entry.get("level")),
        named=len(get_list(entry.get("onsets"))),
        stops=entry.get("stops") is True,
    )


def _list_names(entry: Mapping[str, Any]) -> list[Name]:
    """List the named images, those named longest first."""
    rows = [get_mapping(row) for row in get_list(entry.get("onsets"))]
    names = [Name(get_count(row.get("index")), get_count(row.get("onset"))) for row in rows]
    return sorted(names, key=lambda name: (name.onset or 0, name.index or 0))


def _draw_split(checks: Sequence[Check]) -> Markup | str:
    """Draw how far training and held-out images are apart, .5 being not at all."""
    lines = []
    for tone, name in (("warm", "spikiness"), ("cool", "residual")):
        known = [(c.step, getattr(c, name).value) for c in checks]
        pairs = [(step, value) for step, value in known if value is not None]
        if pairs:
            table = np.array(pairs, dtype=float)
            lines.append(Line(tone, table[:, 0], table[:, 1]))
    if not lines:
        return ""
    return render_lines(lines, name="split", xlabel="step", ylabel="pairs in order")


def _draw_named(checks: Sequence[Check], training: int | None) -> Markup | str:
    if not checks or not training:
        return ""
    steps = np.array([check.step for check in checks], dtype=float)
    shares = np.array([check.named / training for check in checks])
    line = Line("ink", steps, shares)
    return render_lines([line], name="named", xlabel="step", ylabel="watched images named")


def _draw_copies(checks: Sequence[Check]) -> Markup | str:
    known = [(check.step, check.copies) for check in checks if check.copies is not None]
    if not known:
        return ""
    table = np.array(known, dtype=float)
    line = Line("warm", table[:, 0], table[:, 1])
    return render_lines([line], name="copies", xlabel="step", ylabel="outputs that are copies")
