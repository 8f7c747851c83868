"""What a build server reads of an audit with a limit: JUnit XML and a Markdown summary.

Both lie in the run folder beside the page. The test of the XML fails when the limit is exceeded;
an undecided audit passes and says so, because a test that fails for want of images would be
switched off.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from equipoise.report.rate import get_rate
from equipoise.report.wording import (
    DASH,
    format_count,
    format_percent,
    format_percent_interval,
)
from equipoise.runs import Run
from equipoise.runs.atomic import write_atomic

SAID = {
    "exceeded": "more copies than allowed",
    "kept": "no more copies than allowed",
    "undecided": "this audit cannot say",
}


def write_gate(run: Run, gate: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write `gate.xml` and `gate.md` into the folder of a finished audit.

    Args:
        run: The audit.
        gate: `limit`, `outcome` (exceeded, kept, undecided), `low` and `high` of the copy rate.

    Returns:
        The paths of the two.
    """
    xml, summary = run.path / "gate.xml", run.path / "gate.md"
    write_atomic(xml, _build_junit(run, gate))
    write_atomic(summary, _build_summary(run, gate).encode())
    return xml, summary


def describe_gate(gate: Mapping[str, Any]) -> str:
    """Say the outcome in one sentence."""
    low, high, limit = (format_percent(gate[key]) for key in ("low", "high", "limit"))
    share = f"at least {low}, no upper end known" if gate["high"] is None else f"{low} to {high}"
    return f"limit of {limit}: {SAID[gate['outcome']]} (share of copies {share})."


def _build_junit(run: Run, gate: Mapping[str, Any]) -> bytes:
    exceeded = gate["outcome"] == "exceeded"
    suite = ElementTree.Element(
        "testsuite", name="equipoise audit", tests="1", failures=str(int(exceeded)),
        errors="0", skipped="0", time=f"{run.record.cost['seconds']:.3f}",
    )  # fmt: skip
    name = f"share of copies at most {gate['limit']:g}"
    case = ElementTree.SubElement(suite, "testcase", classname="equipoise.audit", name=name)
    if exceeded:
        failure = ElementTree.SubElement(case, "failure", message=describe_gate(gate))
        failure.text = _build_summary(run, gate)
    else:
        ElementTree.SubElement(case, "system-out").text = _build_summary(run, gate)
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)


def _build_summary(run: Run, gate: Mapping[str, Any]) -> str:
    results = run.record.results
    rate, false = get_rate(results["copy_rate"]), get_rate(results["expected_false_flags"])
    flags = f"{format_count(false.low)}{DASH}{format_count(false.high)}"
    shown = "unknown" if rate.value is None else format_percent(rate.value)
    rows = [
        ("images judged", format_count(results["scored"])),
        ("could not be read", format_count(results["failed"])),
        ("flagged as memorized", format_count(results["verdicts"]["memorized"])),
        ("false alarms to expect", flags),
        ("share of copies", f"{shown} ({format_percent_interval(rate)})"),
        ("share that would be noticed", format_percent(results["detection_limit"])),
        ("allowed", format_percent(gate["limit"])),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    sentence = describe_gate(gate)
    return "\n".join(["## equipoise audit", "", sentence, "", "| | |", "|---|---|", *lines, ""])
