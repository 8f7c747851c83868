"""Detectors side by side where the truth is known: models x detectors, into a run folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from equipoise.bench.budget import count_outputs, is_costly
from equipoise.bench.contest import (
    Outcome,
    describe_outcome,
    describe_skipped,
    run_contest,
)
from equipoise.bench.demo import DemoParts, describe_cost
from equipoise.bench.entry import Entry, list_entries, list_entries_of_others, select_entries
from equipoise.bench.outputs import build_unjudged
from equipoise.bench.prompted import Claim, build_prompted_stage, list_warnings
from equipoise.bench.stage import Stage, build_stage, build_training_stage
from equipoise.bench.trial import run_trials
from equipoise.denoisers import Denoiser, fingerprint
from equipoise.detection import Detector, Stopwatch
from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors
from equipoise.zoo.package import load_zoo
from equipoise.zoo.planting import PlantedImage

RESIDUAL = "denoising_residual"


@dataclass(frozen=True)
class Arena:
    """One model, what is compared on it, and what is known of its planted images."""

    name: str
    denoiser: Denoiser
    twin: Denoiser | None
    stage: Stage
    entries: Sequence[Entry]
    planted: Mapping[int, PlantedImage] = field(default_factory=dict)
    whatever_it_costs: bool = False
    """Whether detectors out of reach take part."""
    tried: bool = False
    """Whether changed pictures and settings follow."""


def run_bench(
    models: Sequence[DemoParts],
    folder: Path,
    *,
    seed: int,
    detectors: Sequence[str] = (),
    outside: Sequence[Detector] = (),
    num_samples: int | None = None,
    full: bool = False,
) -> Run:
    """Compare detectors on models whose copies are known, and write the run folder.

    Args:
        models: Models with their twins and what they ship.
        folder: Where the run is written; must not hold one.
        seed: Seed of the outputs.
        detectors: Names of shipped detectors; none means all. The residual always takes part.
        outside: Detectors of others, under the names on their cards.
        num_samples: Outputs of each of the two streams of a model; None: by what they cost.
        full: Put every detector to the trials of `bench/trial.py` besides, and tell planted
            training images from held-out ones on the earlier saves of each training.
    """
    watch = Stopwatch()
    spec = {
        "models": [f"zoo:{parts.model.recipe.name}" for parts in models],
        "detectors": list(detectors),
        "outside": [detector.card.name for detector in outside],
        "seed": seed,
        "num_samples": num_samples,
        "full": full,
    }
    run = _start(folder, spec, {p.model.recipe.name: p.model.denoiser for p in models})

    def build_arena(parts: DemoParts) -> Arena:
        model = parts.model
        count = num_samples or count_outputs(model.recipe.sampler, model.denoiser)
        stage = build_stage(model, seed=seed, num_samples=count)
        entries = _choose_entries(list_entries(parts), detectors, outside)
        name, twin = f"zoo:{model.recipe.name}", parts.twin
        return Arena(
            name, model.denoiser, twin, stage, entries, model.planted,
            whatever_it_costs=full or bool(detectors), tried=full,
        )  # fmt: skip

    def build_arenas() -> Iterator[Arena]:
        for parts in models:
            yield build_arena(parts)
            if full:
                yield from _build_saves(parts, detectors, outside)

    return _compare(run, build_arenas(), watch)


def _build_saves(
    parts: DemoParts, detectors: Sequence[str], outside: Sequence[Detector]
) -> Iterator[Arena]:
    """Build an arena for every earlier save, of the detectors that need the picture alone."""
    for step in parts.model.card.get("saves", {}).values():
        model = load_zoo(f"{parts.model.recipe.name}@{step}")
        entries = list_entries_of_others(model.denoiser, model.recipe.sampler)
        alone = [one for one in _choose_entries(entries, detectors, outside) if one.needs_no_words]
        yield Arena(
            f"zoo:{model.recipe.name}@{step}", model.denoiser, parts.twin,
            build_training_stage(model), alone, model.planted,
        )  # fmt: skip


def run_prompted_bench(
    claim: Claim,
    folder: Path,
    *,
    seed: int,
    detectors: Sequence[str] = (),
    outside: Sequence[Detector] = (),
) -> Run:
    """Compare detectors on a model by prompts that are said to be memorized and not to be.

    Args:
        claim: The model and its prompts.
        folder: Where the run is written; must not hold one.
        seed: Seed of the outputs and of the split.
        detectors: Names of shipped detectors; none means all. The residual always takes part.
        outside: Detectors of others, under the names on their cards.

    Raises:
        BadInputError: when a prompt is in both lists.
        CalibrationError: when there are too few prompts.
    """
    watch = Stopwatch()
    stage = build_prompted_stage(claim, seed=seed)
    entries = list_entries_of_others(claim.denoiser, claim.sampler)
    spec = {
        "models": [claim.name],
        "detectors": list(detectors),
        "outside": [detector.card.name for detector in outside],
        "seed": seed,
        "memorized": len(claim.memorized),
        "others": len(claim.others),
        "sampler": claim.sampler.model_dump(),
    }
    arena = Arena(
        claim.name, claim.denoiser, None, stage, _choose_entries(entries, detectors, outside),
        whatever_it_costs=bool(detectors),
    )  # fmt: skip
    run = _start(folder, spec, {claim.name: claim.denoiser})
    return _compare(run, iter([arena]), watch)


def _start(folder: Path, spec: dict[str, Any], denoisers: Mapping[str, Denoiser]) -> Run:
    prints = {f"fingerprint_{name}": fingerprint(one) for name, one in denoisers.items()}
    return start_run(folder, kind="bench", spec=spec, provenance=prints)


def _choose_entries(
    entries: Sequence[Entry], detectors: Sequence[str], outside: Sequence[Detector]
) -> list[Entry]:
    chosen = select_entries(entries, detectors) if detectors else list(entries)
    return chosen + [Entry(detector.card.name, (detector,)) for detector in outside]


def _compare(run: Run, arenas: Iterator[Arena], watch: Stopwatch) -> Run:
    """Let the detectors of every arena compete; one model at a time is held in memory."""
    rows, trials, cost = [], [], {}
    for place, arena in enumerate(arenas):
        stage = arena.stage
        cost[f"sample and label {arena.name}"] = describe_cost(stage.evaluations, stage.seconds)
        scoring = Stopwatch()
        outcomes = _run_all(arena)
        spent = sum(outcome.spent for _, outcome in outcomes if isinstance(outcome, Outcome))
        cost[f"score {arena.name}"] = describe_cost(spent, scoring.seconds)
        rows += [{"model": arena.name} | row for row in _list_rows(outcomes, arena)]
        _write(run, place, arena, outcomes)
        if arena.tried:
            trying = Stopwatch()
            trials += [{"model": arena.name} | row for row in _try_all(arena, outcomes)]
            cost[f"trials of {arena.name}"] = {"seconds": round(trying.seconds, 2)}
    results = {"rows": rows, "trials": trials, "warnings": list_warnings(rows)}
    return finish_run(run, results=results, cost={"parts": cost, "seconds": watch.seconds})


def _run_all(arena: Arena) -> list[tuple[Entry, Outcome | str]]:
    shown = tqdm(arena.entries, desc=arena.name, unit="detector", leave=False)
    return [
        (
            entry,
            run_contest(
                entry, arena.stage, arena.denoiser, arena.twin,
                whatever_it_costs=arena.whatever_it_costs,
            ),
        )
        for entry in shown
    ]  # fmt: skip


def _try_all(
    arena: Arena, outcomes: Sequence[tuple[Entry, Outcome | str]]
) -> Iterator[dict[str, Any]]:
    """Put every detector that looks at the model, and does not cost much, to the trials."""
    for _, outcome in outcomes:
        if isinstance(outcome, str) or not outcome.detector.card.evaluations:
            continue
        if not is_costly(outcome.detector.card, arena.denoiser):
            yield from run_trials(outcome, arena.stage, arena.denoiser)


def _list_rows(
    outcomes: Sequence[tuple[Entry, Outcome | str]], arena: Arena
) -> list[dict[str, Any]]:
    residual = next(
        (o for e, o in outcomes if e.name == RESIDUAL and isinstance(o, Outcome)), None
    )
    return [
        describe_skipped(entry, outcome)
        if isinstance(outcome, str)
        else describe_outcome(outcome, arena.stage, arena.planted, residual)
        for entry, outcome in outcomes
    ]


def _write(
    run: Run, place: int, arena: Arena, outcomes: Sequence[tuple[Entry, Outcome | str]]
) -> None:
    """Write the items of the report split, and what every detector said of them (NaN: unseen)."""
    name, report = arena.name.removeprefix("zoo:"), arena.stage.report
    columns = {}
    for entry, outcome in outcomes:
        if isinstance(outcome, Outcome):
            columns[entry.name] = np.full(len(report), np.nan)
            columns[entry.name][outcome.rows] = outcome.scores
    first = next(iter(columns.values()), np.full(len(report), np.nan))
    sources = [f"{name}/report/{row:06d}" for row in range(len(report))]
    scores = pa.array(first, mask=np.isnan(first))
    table = pa.table(
        build_unjudged(report.ids, sources, scores)
        | {
            "model": [name] * len(report),
            "planted": pa.array(report.planted, mask=report.planted < 0),
        }
    )
    write_items(run, table, part=place)
    write_tensors(run, f"scores-{place}", columns)
