"""The page of a sweep over a user's own pictures: what was chosen, by what, and what stays open.

With a few known copies a place of the heat map holds the combination that told half of them best;
without any the most stable one. Nothing on the page says that a stable statistic finds copies:
that is the first thing it cannot know.
"""

from collections.abc import Mapping
from typing import Any

from equipoise.report.rate import get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.roster import Roster, build_roster
from equipoise.report.sweep import SHOWN, Combination, build_heat, read_combination
from equipoise.report.table import list_record
from equipoise.report.wording import (
    format_count,
    format_interval,
    format_number,
    format_share,
    format_visible,
)
from equipoise.runs import Run

BY_COPIES = "known copies"


def build_reference_sweep(run: Run) -> dict[str, Any]:
    """Build what `reference-sweep.html.j2` shows."""
    results = run.record.results
    by_copies = results.get("chosen_by") == BY_COPIES

    def value_of(combination: Combination) -> float | None:
        return combination.chosen_on if by_copies else combination.stability

    found = [read_combination(get_mapping(entry)) for entry in get_list(results.get("cells"))]
    combinations = sorted(found, key=lambda c: -(value_of(c) or 0))
    chosen = read_combination(get_mapping(results.get("chosen")))
    sigmas = sorted({c.sigma for c in combinations if c.sigma is not None})
    return {
        **list_record(run),
        "by_copies": by_copies,
        "sentence": build_sentence(chosen, results),
        "chosen": chosen,
        "auroc": get_rate(results.get("auroc")),
        "num_reference": get_count(results.get("reference")),
        "num_copies": get_count(results.get("copies")),
        "cannot_know": [str(what) for what in get_list(results.get("cannot_know"))],
        "sigmas": sigmas,
        "heat": build_heat(combinations, sigmas, chosen, value_of),
        "combinations": combinations[:SHOWN],
        "num_combinations": len(combinations),
        "failures": _list_failures(get_mapping(results.get("failed"))),
        "evaluations": get_number(run.record.cost.get("evaluations")),
    }


def build_sentence(chosen: Combination, results: Mapping[str, Any]) -> str:
    """Say in one sentence where to look, and what speaks for it."""
    if not chosen.sites:
        return "Nothing was chosen: this run has no combination."
    look = (
        f"Look at {chosen.place} with noise level {format_number(chosen.sigma)}: the "
        f"{chosen.recipe}"
    )
    auroc = get_rate(results.get("auroc"))
    if auroc.value is None:
        return (
            f"{look} is the most stable, with a rank correlation of "
            f"{format_number(chosen.stability, 3)} between two sets of noise draws. Whether it "
            "finds copies is not known."
        )
    return (
        f"{look} tells known copies from the reference with AUROC {format_share(auroc.value)} "
        f"({format_interval(auroc)}), n = {format_count(auroc.n)}, on copies it was not chosen on."
    )


def _list_failures(failed: Mapping[str, Any]) -> Roster:
    lines = [f"{format_visible(source)}: {format_visible(why)}" for source, why in failed.items()]
    return build_roster("Not read", lines)
