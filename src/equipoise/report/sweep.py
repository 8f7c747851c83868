"""The page of a sweep: where to look, at which noise level, and what choosing it was worth.

Every place of the heat map holds the best of its combinations (pooling, statistic, scale, sign),
chosen on copies of the selection images; beside it stands what that combination reaches on copies
of the others. The difference is the price of choosing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.report.item import load_items
from equipoise.report.plot import Group, render_histogram
from equipoise.report.rate import get_list, get_mapping, get_number, get_rate
from equipoise.report.table import list_quantiles, list_record
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
STRONGEST = 50
"""Opacity of the highest place of the heat map, in percent: its number keeps a contrast of 4.5."""
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
    stability: float | None

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
    found = [read_combination(get_mapping(entry)) for entry in get_list(results.get("cells"))]
    combinations = sorted(found, key=_rank)
    chosen = read_combination(get_mapping(results.get("chosen")))
    sigmas = sorted({c.sigma for c in combinations if c.sigma is not None})
    auroc = get_rate(results.get("auroc"))
    return {
        **list_record(run),
        "chosen": chosen,
        "auroc": auroc,
        "twin": get_rate(results.get("clean_twin_auroc")),
        "residual": get_rate(get_mapping(results.get("residual")).get("auroc")),
        "selection_auroc": get_number(results.get("selection_auroc")),
        "sentence": build_sentence(chosen, results),
        "sigmas": sigmas,
        "heat": build_heat(combinations, sigmas, chosen, lambda c: c.chosen_on),
        "combinations": combinations[:SHOWN],
        "num_combinations": len(combinations),
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


def read_combination(entry: Mapping[str, Any]) -> Combination:
    """Read a cell of a sweep's record; what is missing or no number is None."""
    return Combination(
        sites=tuple(str(site) for site in get_list(entry.get("sites"))),
        sigma=get_number(entry.get("sigma")),
        pooling=str(entry.get("pooling")),
        statistic=str(entry.get("statistic")),
        scaled=bool(entry.get("scaled_units")),
        sign=get_number(entry.get("sign")),
        chosen_on=get_number(entry.get("selection_auroc")),
        reported_on=get_number(entry.get("report_auroc")),
        stability=get_number(entry.get("stability")),
    )


def _rank(combination: Combination) -> float:
    return -(combination.chosen_on or 0)


def build_heat(
    ranked: Sequence[Combination],
    sigmas: Sequence[float],
    chosen: Combination,
    value_of: Callable[[Combination], float | None],
) -> list[tuple[str, list[Cell]]]:
    """Take the first combination at every site and noise level, the sites in their order.

    Args:
        ranked: Combinations, the best first.
        sigmas: Noise levels, the columns.
        chosen: The one that is framed.
        value_of: What a place is drawn dark by.
    """
    best: dict[tuple[tuple[str, ...], float | None], Combination] = {}
    for combination in ranked:
        best.setdefault((combination.sites, combination.sigma), combination)
    values = [value for c in best.values() if (value := value_of(c)) is not None]
    low, high = min(values, default=0.5), max(values, default=1.0)

    def build_cell(sites: tuple[str, ...], sigma: float) -> Cell:
        found = best.get((sites, sigma))
        value = None if found is None else value_of(found)
        shade = STRONGEST * ((low if value is None else value) - low) / ((high - low) or 1)
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
