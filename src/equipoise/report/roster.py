"""Every item of an audit as a line of text, so that none is left unaccounted for.

Lines come in blocks, which a browser lays out only when they come into view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.finding import STATES, Finding
from equipoise.report.rate import get_count, get_mapping
from equipoise.report.wording import format_count, format_number, format_visible, format_words

BLOCK = 500
"""Lines in a block."""
REASONS = 40
"""Most reasons with a list of their own; what is rarer shares one."""
RARE = "other reasons"


@dataclass(frozen=True)
class Roster:
    """Lines under one heading."""

    name: str
    count: int
    blocks: list[str]


def build_rosters(findings: Sequence[Finding]) -> list[Roster]:
    """List items by state, in the order given: score, p-value, verdict, source."""
    rosters = []
    for state in STATES:
        lines = [_write_item(finding) for finding in findings if finding.state == state]
        if lines:
            rosters.append(_build_roster(format_words(state), lines))
    return rosters


def build_failures(findings: Sequence[Finding]) -> list[Roster]:
    """List what failed by its reason, the most frequent first."""
    failed: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.error is not None:
            failed.setdefault(finding.error, []).append(finding)
    reasons = sorted(failed, key=lambda reason: (-len(failed[reason]), reason))
    kept = reasons if len(reasons) <= REASONS else reasons[: REASONS - 1]
    rosters = [
        _build_roster(
            format_visible(reason), [format_visible(finding.source) for finding in failed[reason]]
        )
        for reason in kept
    ]
    lines = [
        f"{format_visible(finding.source)}: {format_visible(reason)}"
        for reason in reasons[len(kept) :]
        for finding in failed[reason]
    ]
    return [*rosters, _build_roster(RARE, lines)] if lines else rosters


def list_other_files(entry: object) -> list[tuple[str, str]]:
    """List the suffixes of files that are no pictures, with their counts, most frequent first."""
    counts = {
        str(name): count
        for name, number in get_mapping(entry).items()
        if (count := get_count(number)) is not None
    }
    suffixes = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
    return [(suffix, format_count(counts[suffix])) for suffix in suffixes]


def _write_item(finding: Finding) -> str:
    score, p_value = format_number(finding.score), format_number(finding.p_value, 2)
    state = format_words(finding.state)
    return f"{score:>7}  {p_value:>7}  {state:<13}  {format_visible(finding.source)}"


def _build_roster(name: str, lines: Sequence[str]) -> Roster:
    blocks = ["\n".join(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK)]
    return Roster(name, len(lines), blocks)
