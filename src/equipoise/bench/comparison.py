"""Detectors side by side on planted truth: models x detectors, into a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from equipoise.bench.contest import (
    Outcome,
    describe_outcome,
    describe_skipped,
    run_contest,
)
from equipoise.bench.demo import DemoParts
from equipoise.bench.entry import Entry, list_entries, select_entries
from equipoise.bench.stage import Stage, build_stage
from equipoise.denoisers import fingerprint
from equipoise.detection import Detector, Stopwatch
from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors

NUM_SAMPLES = 1000
RESIDUAL = "denoising_residual"


def run_bench(
    models: Sequence[DemoParts],
    folder: Path,
    *,
    seed: int,
    detectors: Sequence[str] = (),
    outside: Sequence[Detector] = (),
    num_samples: int = NUM_SAMPLES,
) -> Run:
    """Compare detectors on models whose copies are known, and write the run folder.

    Args:
        models: Models with their twins and what they ship.
        folder: Where the run is written; must not hold one.
        seed: Seed of the outputs.
        detectors: Names of shipped detectors; none means all. The residual always takes part.
        outside: Detectors of others, under the names on their cards.
        num_samples: Outputs of each of the two streams of a model.
    """
    watch = Stopwatch()
    names = [parts.model.recipe.name for parts in models]
    run = start_run(
        folder, kind="bench",
        spec={
            "models": [f"zoo:{name}" for name in names],
            "detectors": list(detectors),
            "outside": [detector.card.name for detector in outside],
            "seed": seed,
            "num_samples": num_samples,
        },
        provenance={
            f"fingerprint_{name}": fingerprint(parts.model.denoiser)
            for name, parts in zip(names, models, strict=True)
        },
    )  # fmt: skip
    rows, cost = [], {}
    for place, (name, parts) in enumerate(zip(names, models, strict=True)):
        entries = list_entries(parts)
        entries = select_entries(entries, detectors) if detectors else entries
        entries += [Entry(detector.card.name, (detector,)) for detector in outside]
        stage = build_stage(parts.model, seed=seed, num_samples=num_samples)
        cost[f"sample and label {name}"] = _cost(stage.evaluations, stage.seconds)
        scoring = Stopwatch()
        outcomes = _run_all(entries, stage, parts)
        spent = sum(outcome.spent for _, outcome in outcomes if isinstance(outcome, Outcome))
        cost[f"score {name}"] = _cost(spent, scoring.seconds)
        rows += [{"model": f"zoo:{name}"} | row for row in _list_rows(outcomes, stage, parts)]
        _write(run, place, name, outcomes, stage)
    results = {"rows": rows}
    return finish_run(run, results=results, cost={"parts": cost, "seconds": watch.seconds})


def _run_all(
    entries: Sequence[Entry], stage: Stage, parts: DemoParts
) -> list[tuple[Entry, Outcome | str]]:
    shown = tqdm(entries, desc=parts.model.recipe.name, unit="detector", leave=False)
    return [
        (entry, run_contest(entry, stage, parts.model.denoiser, parts.twin.denoiser))
        for entry in shown
    ]


def _list_rows(
    outcomes: Sequence[tuple[Entry, Outcome | str]], stage: Stage, parts: DemoParts
) -> list[dict[str, Any]]:
    residual = next(
        (o for e, o in outcomes if e.name == RESIDUAL and isinstance(o, Outcome)), None
    )
    return [
        describe_skipped(entry, outcome)
        if isinstance(outcome, str)
        else describe_outcome(outcome, stage, parts.model.planted, residual)
        for entry, outcome in outcomes
    ]


def _write(
    run: Run, place: int, name: str, outcomes: Sequence[tuple[Entry, Outcome | str]], stage: Stage
) -> None:
    """Write the items of the report split, and what every detector said of them (NaN: unseen)."""
    columns = {}
    for entry, outcome in outcomes:
        if isinstance(outcome, Outcome):
            columns[entry.name] = np.full(len(stage.report), np.nan)
            columns[entry.name][outcome.rows] = outcome.scores
    first = next(iter(columns.values()), np.full(len(stage.report), np.nan))
    count = len(stage.report)
    table = pa.table(
        {
            "id": stage.report.ids,
            "source": [f"{name}/report/{row:06d}" for row in range(count)],
            "score": pa.array(first, mask=np.isnan(first)),
            "p_value": pa.nulls(count, pa.float64()),
            "q_value": pa.nulls(count, pa.float64()),
            "verdict": pa.nulls(count, pa.string()),
            "error": pa.nulls(count, pa.string()),
            "model": [name] * count,
            "planted": pa.array(stage.report.planted, mask=stage.report.planted < 0),
        }
    )
    write_items(run, table, part=place)
    write_tensors(run, f"scores-{name}", columns)


def _cost(evaluations: int, seconds: float) -> dict[str, float | int]:
    return {"evaluations": evaluations, "seconds": round(seconds, 2)}
