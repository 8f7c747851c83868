"""The page of a comparison: every detector on every model, with intervals, curves and reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from equipoise.report.plot import Line, render_rocs
from equipoise.report.rate import Rate, get_list, get_mapping, get_number, get_rate
from equipoise.report.table import list_parts, list_record
from equipoise.report.wording import format_interval, format_share, format_words
from equipoise.runs import Run

RESIDUAL = "denoising_residual"
ARMS = {"training": "training images shown once", "held_out": "images it never saw"}


@dataclass(frozen=True)
class Entrant:
    """A detector on a model."""

    name: str
    baseline: bool
    needs: list[str]
    source: str
    sign: float | None
    sigma: float | None
    auroc: Rate
    twin: Rate
    found: Rate
    false: Rate
    difference: Rate
    found_difference: Rate
    evaluations: float | None
    milliseconds: float | None
    parts: list[tuple[str, Rate]]
    curve: Line | None

    @property
    def note(self) -> str:
        """What is remarkable: baselines, signs against the paper."""
        if self.baseline:
            return "baseline"
        return "against its paper: copies score lower" if self.sign == -1 else ""


@dataclass(frozen=True)
class Attempt:
    """A detector on changed pictures, or with another setting."""

    name: str
    trial: str
    auroc: Rate
    found: Rate
    false: Rate


@dataclass(frozen=True)
class Field:
    """All detectors on one model."""

    model: str
    sentence: str
    entrants: list[Entrant]
    skipped: list[tuple[str, str]]
    plot: Markup
    counts: Mapping[str, Any]
    drawn: list[tuple[str, str]]
    trials: list[str]
    attempts: Mapping[str, Mapping[str, Attempt]]
    """By detector and trial."""

    @property
    def is_save(self) -> bool:
        """Whether planted training images stand where copies stand elsewhere."""
        return "@" in self.model


def build_bench(run: Run) -> dict[str, Any]:
    """Build what `bench.html.j2` shows."""
    rows = [get_mapping(row) for row in get_list(run.record.results.get("rows"))]
    tried = [get_mapping(row) for row in get_list(run.record.results.get("trials"))]
    models = list(dict.fromkeys(str(row.get("model")) for row in rows))
    fields = [
        _build_field(model, _pick(rows, model), _pick(tried, model), place)
        for place, model in enumerate(models)
    ]
    return {
        **list_record(run),
        "fields": fields,
        "warnings": [str(one) for one in get_list(run.record.results.get("warnings"))],
        "parts": list_parts(run.record.cost),
    }


def _pick(rows: Sequence[Mapping[str, Any]], model: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if str(row.get("model")) == model]


def _build_field(
    model: str,
    rows: Sequence[Mapping[str, Any]],
    tried: Sequence[Mapping[str, Any]],
    place: int,
) -> Field:
    used = [_build_entrant(row) for row in rows if row.get("reason") is None]
    used.sort(key=lambda entrant: -(entrant.auroc.value or 0))
    skipped = [
        (str(row.get("detector")), str(row.get("reason"))) for row in rows if row.get("reason")
    ]
    counts = get_mapping(next((row["n"] for row in rows if row.get("n")), None))
    drawn = _choose_drawn(used)
    lines = [
        Line(tone, entrant.curve.x, entrant.curve.y)
        for entrant, tone in drawn
        if entrant.curve is not None
    ]
    plot = render_rocs(lines, name=f"rocs-{place}") if lines else Markup("")
    told = [(entrant.name, tone) for entrant, tone in drawn]
    attempts: dict[str, dict[str, Attempt]] = {}
    for row in tried:
        one = _build_attempt(row)
        attempts.setdefault(one.name, {})[one.trial] = one
    trials = list(dict.fromkeys(trial for row in attempts.values() for trial in row))
    return Field(model, _build_sentence(used), used, skipped, plot, counts, told, trials, attempts)


def _build_attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        name=str(row.get("detector")),
        trial=str(row.get("trial")),
        auroc=get_rate(row.get("auroc")),
        found=get_rate(row.get("tpr_at_1pct_fpr")),
        false=get_rate(row.get("fpr")),
    )


def _build_entrant(row: Mapping[str, Any]) -> Entrant:
    seconds = get_number(row.get("seconds_per_item"))
    groups = {**get_mapping(row.get("by_kind")), **get_mapping(row.get("by_multiplicity"))}
    parts = [(f"copies, {name}", get_rate(entry)) for name, entry in groups.items()]
    parts += [
        (f"against {told}", get_rate(get_mapping(row.get("against")).get(name)))
        for name, told in ARMS.items()
    ]
    return Entrant(
        name=str(row.get("detector")),
        baseline=row.get("baseline") is True,
        needs=[str(need) for need in get_list(row.get("needs"))],
        source=str(row.get("source")),
        sign=get_number(row.get("sign")),
        sigma=get_number(get_mapping(row.get("chosen")).get("sigma")),
        auroc=get_rate(row.get("auroc")),
        twin=get_rate(row.get("clean_twin_auroc")),
        found=get_rate(row.get("tpr_at_1pct_fpr")),
        false=get_rate(row.get("fpr")),
        difference=get_rate(row.get("minus_residual")),
        found_difference=get_rate(row.get("found_minus_residual")),
        evaluations=get_number(row.get("evaluations")),
        milliseconds=None if seconds is None else 1000 * seconds,
        parts=parts,
        curve=_read_curve(get_mapping(row.get("roc"))),
    )


def _read_curve(entry: Mapping[str, Any]) -> Line | None:
    x, y = (np.asarray(get_list(entry.get(key)), dtype=float) for key in ("fpr", "tpr"))
    return Line("muted", x, y) if len(x) and len(x) == len(y) else None


def _choose_drawn(used: Sequence[Entrant]) -> list[tuple[Entrant, str]]:
    """Choose the curves: the two best detectors, and the residual."""
    best = [entrant for entrant in used if not entrant.baseline][:2]
    residual = [entrant for entrant in used if entrant.name == RESIDUAL]
    return [*zip(best, ("warm", "cool"), strict=False), *((one, "ink") for one in residual)]


def _build_sentence(used: Sequence[Entrant]) -> str:
    """Say who is ahead, and whether that is more than chance."""
    residual = next((entrant for entrant in used if entrant.name == RESIDUAL), None)
    best = next((entrant for entrant in used if not entrant.baseline), None)
    if best is None or residual is None or best.auroc.value is None:
        return "There is nothing to compare."
    name = format_words(best.name)
    low, high = best.difference.low, best.difference.high
    area = f"{format_share(best.auroc.value)} ({format_interval(best.auroc)})"
    told = f"{name} is ahead of the detectors with AUROC {area}"
    if low is None or high is None:
        return f"{told}; whether that beats the denoising residual cannot be said."
    if low > 0:
        return f"{told}, and better than the denoising residual beyond chance."
    if high < 0:
        return f"{told}, and yet worse than the denoising residual beyond chance."
    return f"{told}; beside the denoising residual the difference is within chance."
