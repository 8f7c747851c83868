"""The page of a sweep: where to look, at which noise level, and what choosing it was worth.

Every place of the heat map holds the best of its combinations (pooling, statistic, scale, sign),
chosen on copies of the selection images; beside it stands what that combination reaches on copies
of the others. The difference is the price of choosing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.report.item import load_items
from equipoise.report.plot import Group, render_histogram
from equipoise.report.rate import get_list, get_mapping, get_number, get_rate
from equipoise.report.table import flatten, list_quantiles
from equipoise.report.wording import (
    format_count,
    format_interval,
    format_number,
    format_share,
    format_visible,
    format_words,
)
from equipoise.runs import Run

SHOWN = 40
"""Combinations in the table; the run folder has all."""
STRONGEST = 55
"""Opacity of the highest place of the heat map, in percent: its number stays legible."""
LABELS = {"novel": "cool", "copy": "warm"}


@dataclass(frozen=True)
class Combination:
    """What was looked at, and how well it tells copies."""

    sites: tuple[str, ...]
    sigma: float | None
    pooling: str
    statistic: str
    scaled: bool
    sign: float | None
    chosen_on: float | None
    reported_on: float | None

    @property
    def place(self) -> str:
        """Its sites in a few words."""
        told = f"the {len(self.sites)} default sites together"
        return format_visible(self.sites[0]) if len(self.sites) == 1 else told

    @property
    def recipe(self) -> str:
        """What is made of the units."""
        scaled = ", scaled" if self.scaled else ""
        return f"{format_words(self.statistic)} of the {format_words(self.pooling)}{scaled}"


@dataclass(frozen=True)
class Cell:
    """A place of the heat map: the best combination there, and how dark it is drawn."""

    best: Combination | None
    shade: float
    """Percent."""
    chosen: bool


def build_sweep(run: Run) -> dict[str, Any]:
    """Build what `sweep.html.j2` shows.

    Raises:
        RunError: when the items are missing or damaged.
    """
    results = run.record.results
    found = [_read(get_mapping(entry)) for entry in get_list(results.get("cells"))]
    combinations = sorted(found, key=_rank)
    chosen = _read(get_mapping(results.get("chosen")))
    sigmas = sorted({c.sigma for c in combinations if c.sigma is not None})
    auroc = get_rate(results.get("auroc"))
    return {
        "spec": run.record.spec,
        "chosen": chosen,
        "auroc": auroc,
        "selection_auroc": get_number(results.get("selection_auroc")),
        "sentence": build_sentence(chosen, results),
        "sigmas": sigmas,
        "heat": _build_heat(combinations, sigmas, chosen),
        "combinations": combinations[:SHOWN],
        "num_combinations": len(combinations),
        "spec_rows": flatten(run.record.spec),
        "provenance_rows": flatten(run.record.provenance),
        "seconds": get_number(run.record.cost.get("seconds")),
        "evaluations": get_number(run.record.cost.get("evaluations")),
        **_build_scores(run),
    }


def build_sentence(chosen: Combination, results: Mapping[str, Any]) -> str:
    """Say in one sentence where to look, and how well that tells copies."""
    auroc = get_rate(results.get("auroc"))
    if not chosen.sites or auroc.value is None:
        return "Nothing was chosen: this run has no figure on the images it was not chosen on."
    return (
        f"Look at {chosen.place} with noise level {format_number(chosen.sigma)}: the "
        f"{chosen.recipe} tells copies from new outputs with AUROC {format_share(auroc.value)} "
        f"({format_interval(auroc)}), n = {format_count(auroc.n)}, on copies of images it was not "
        "chosen on."
    )


def _read(entry: Mapping[str, Any]) -> Combination:
    return Combination(
        sites=tuple(str(site) for site in get_list(entry.get("sites"))),
        sigma=get_number(entry.get("sigma")),
        pooling=str(entry.get("pooling")),
        statistic=str(entry.get("statistic")),
        scaled=bool(entry.get("scaled_units")),
        sign=get_number(entry.get("sign")),
        chosen_on=get_number(entry.get("selection_auroc")),
        reported_on=get_number(entry.get("report_auroc")),
    )


def _rank(combination: Combination) -> float:
    return -(combination.chosen_on or 0)


def _build_heat(
    ranked: Sequence[Combination], sigmas: Sequence[float], chosen: Combination
) -> list[tuple[str, list[Cell]]]:
    """Take the best combination at every site and noise level, the sites in their order."""
    best: dict[tuple[tuple[str, ...], float | None], Combination] = {}
    for combination in ranked:
        best.setdefault((combination.sites, combination.sigma), combination)
    values = [c.chosen_on for c in best.values() if c.chosen_on is not None]
    low, high = min(values, default=0.5), max(values, default=1.0)

    def build_cell(sites: tuple[str, ...], sigma: float) -> Cell:
        found = best.get((sites, sigma))
        value = low if found is None or found.chosen_on is None else found.chosen_on
        shade = STRONGEST * (value - low) / ((high - low) or 1)
        return Cell(found, round(shade, 1), (sites, sigma) == (chosen.sites, chosen.sigma))

    places = {combination.sites: combination.place for combination in ranked}
    order = sorted(places, key=lambda sites: (len(sites) > 1, sites))
    return [(places[sites], [build_cell(sites, sigma) for sigma in sigmas]) for sites in order]


def _build_scores(run: Run) -> dict[str, Any]:
    """Histogram of the chosen combination's scores on both splits, and its numbers."""
    pairs = [(item.label, item.score) for item in load_items(run) if item.score is not None]
    groups = [
        Group(label, tone, np.array([score for found, score in pairs if found == label]))
        for label, tone in LABELS.items()
    ]
    groups = [group for group in groups if len(group.scores)]
    return {
        "histogram": render_histogram(groups, None) if groups else "",
        "quantiles": list_quantiles(groups, None),
    }
