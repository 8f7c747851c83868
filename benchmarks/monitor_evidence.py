"""What a monitor should go by: alarms and names of several kinds of evidence on the same checks.

    .venv/bin/python benchmarks/monitor_evidence.py 0 1 2 --out runs/monitor-evidence \
        > docs/figures-monitor-evidence.md

Trains the short recipes and their clean twins under every seed, without drawing outputs; what lies
in --out already is not trained again. These seeds are for choosing: what was chosen is reported by
`equipoise monitor demo` under another one.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine

from equipoise.monitoring.monitor import MonitorSpec
from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.rehearsal import CHECKS, FDR, NUM_ONCE, rehearse
from equipoise.monitoring.rows import read_evidence
from equipoise.monitoring.short import (
    SHORT,
    build_short,
    choose_watched,
    shift_seeds,
    without_planting,
)
from equipoise.monitoring.split import name_images, score_ranks, weigh_images
from equipoise.monitoring.stop_rule import Course, StopRule
from equipoise.runs import load_run, read_part
from equipoise.zoo.recipe import Recipe

SHOWN = (10, 20, 50)
"""Checks whose names are shown, counted from 1."""

Weigh = Callable[[Sequence[Evidence]], np.ndarray]


def weigh_levels(seen: Sequence[Evidence]) -> np.ndarray:
    """Spikiness and residual as they are, whatever was seen before."""
    return score_ranks(seen[-1].spikiness) + score_ranks(seen[-1].residual)


def weigh_residual(seen: Sequence[Evidence]) -> np.ndarray:
    """The residual alone."""
    return score_ranks(seen[-1].residual)


def weigh_since_half(seen: Sequence[Evidence]) -> np.ndarray:
    """The gain since the check at half of those made so far."""
    if len(seen) == 1:
        return weigh_levels(seen)
    return score_ranks(seen[-1].residual - seen[(len(seen) - 1) // 2].residual)


def weigh_both(seen: Sequence[Evidence]) -> np.ndarray:
    """The residual and its gain since half of the checks."""
    return weigh_residual(seen) + weigh_since_half(seen)


def weigh_since_first(seen: Sequence[Evidence]) -> np.ndarray:
    """The gain since the first check."""
    if len(seen) == 1:
        return weigh_levels(seen)
    return score_ranks(seen[-1].residual - seen[0].residual)


CANDIDATES: dict[str, Weigh] = {
    "spikiness + residual": weigh_levels,
    "residual": weigh_residual,
    "gain over the mean so far": weigh_images,
    "gain since half": weigh_since_half,
    "residual + gain since half": weigh_both,
    "gain since the first": weigh_since_first,
}


@dataclass(frozen=True)
class Watched:
    """What a monitor saw of a whole training."""

    seen: list[Evidence]
    is_training: np.ndarray
    is_planted: np.ndarray


def watch(recipe: Recipe, folder: Path, *, clean: bool) -> Watched:
    """Read the checks of a training, or of its twin; train first where there are none."""
    trained = without_planting(recipe) if clean else recipe
    if not (folder / trained.name / "run.json").is_file():
        rehearse(trained, recipe, folder, CHECKS, 0)
    run, model = load_run(folder / trained.name), build_short(recipe)
    last = read_part(run.list_checks()[-1])
    watched = choose_watched(model, num_once=NUM_ONCE)
    is_planted = [
        i is not None and int(watched[i]) in model.planted for i in last["index"].to_pylist()
    ]
    return Watched(
        [*read_evidence(run)], np.array(last["side"]) == "training", np.array(is_planted)
    )


def find_alarm(watched: Watched, weigh: Weigh, every: int) -> str:
    """Say at which step the rule stops."""
    rule = StopRule(MonitorSpec(every).false_stops, CHECKS)
    course, labels = Course(rule, watched.is_training), watched.is_training
    for check in range(1, len(watched.seen) + 1):
        weights = weigh(watched.seen[:check])
        ruling = course.look(weights)
        if ruling.find_p_values(weights[None, labels].sum(axis=1))[0] <= ruling.level:
            return str(check * every)
    return "never"


def count_names(watched: Watched, weigh: Weigh, check: int) -> str:
    """Count the planted images named at a check, and the others."""
    weights = weigh(watched.seen[:check])
    named = np.zeros(len(weights), dtype=bool)
    naming = name_images(weights, watched.is_training, fdr=FDR)
    named[watched.is_training] = naming.named
    right = int((named & watched.is_planted).sum())
    return f"{right}, {int(named.sum()) - right}"


def main() -> None:
    """Train, compare and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("runs/monitor-evidence"))
    words = parser.parse_args()
    torch.set_num_threads(1)
    print("# What a monitor goes by\n")
    print(
        f"`python benchmarks/monitor_evidence.py {' '.join(map(str, words.seeds))}`: the same "
        "checks of short trainings with 15 planted images each ([the monitor](monitor.md)), "
        "judged by several kinds of evidence. Step of the alarm, of the model and of its clean "
        "twin; at three checks, the planted images that are named, and the others "
        f"(of {NUM_ONCE}), at a false discovery rate of {FDR:.0%}. The seeds are for "
        "choosing; what was chosen is reported on [another seed](figures-monitor-demo.md).\n"
    )
    print(f"{describe_machine()}, one thread; other work ran beside.\n")
    head = ["model", "seed", "evidence", "alarm", "twin's alarm"]
    print("| " + " | ".join([*head, *(f"names at check {check}" for check in SHOWN)]) + " |")
    print("|" + "---|" * (len(head) + len(SHOWN)))
    for name, short in SHORT.items():
        for seed in words.seeds:
            recipe, folder = shift_seeds(short, seed), words.out / str(seed)
            model = watch(recipe, folder, clean=False)
            twin = watch(recipe, folder, clean=True)
            every = recipe.steps // CHECKS
            for evidence, weigh in CANDIDATES.items():
                alarms = [find_alarm(one, weigh, every) for one in (model, twin)]
                names = [count_names(model, weigh, check) for check in SHOWN]
                print(
                    "| " + " | ".join([f"`{name}`", str(seed), evidence, *alarms, *names]) + " |"
                )


if __name__ == "__main__":
    main()
