"""A rehearsal: short trainings whose copies are known, under a monitor.

At every check outputs are drawn and labelled by the training set, so that the step of the first
copy is known and can be held against the step of the alarm. Two other rules stand beside it: stop
at the lowest validation loss, and stop at the lowest ICR (2606.09718). Both need the steps after
the minimum to know it.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.bench.outputs import generate_outputs
from equipoise.denoisers import Denoiser
from equipoise.detection import Stopwatch
from equipoise.images import as_unit
from equipoise.monitoring.check import Check
from equipoise.monitoring.consistency import observe_icr
from equipoise.monitoring.false_stop import measure_false_stops
from equipoise.monitoring.loop import WatchedLoop
from equipoise.monitoring.monitor import Monitor, MonitorSpec
from equipoise.monitoring.probe import build_detector
from equipoise.monitoring.rows import read_evidence
from equipoise.monitoring.short import (
    SHORT,
    build_short,
    choose_watched,
    shift_seeds,
    without_planting,
)
from equipoise.runs import Run, finish_run, load_run, read_part, start_run
from equipoise.zoo.package import ZooModel
from equipoise.zoo.recipe import DitRecipe, Recipe
from equipoise.zoo.training import denoising_loss, start_training, train

CHECKS = 50
OUTPUTS = 500
NUM_ONCE = 45
"""Watched training images that are not planted."""
FDR = 0.05
"""Expected share of false names. With 60 images against 500 a name needs two more beside it.

At .01 it needs eleven, and one held-out image with a higher score than all of them hides the rest.
"""
NUM_ICR = 200
"""Training images that the ICR is measured on."""
ICR_SITES = {True: "transformer_blocks.2:out", False: "up_blocks.0.resnets.0.conv2:in"}
"""Sites of few units, in a DiT and in a U-Net: the ICR needs twice as many images."""


@dataclass(frozen=True)
class Glance:
    """What is measured at every check besides, for the comparison."""

    step: int
    validation: float
    icr: float | None


@dataclass(frozen=True)
class Rehearsal:
    """One training that is over.

    Args:
        recipe: What was trained.
        folder: Run folder of its monitor.
        watched: Training images on the probe, by their place in the training set.
        planted: Which of them are planted.
        checks: What the monitor saw.
        copied: The training images copied among the outputs of every check; empty for a twin.
        glances: Validation loss and ICR at every check.
        seconds: By part: "training", "monitor" (without outputs), "outputs", "beside".
    """

    recipe: Recipe
    folder: Path
    watched: list[int]
    planted: set[int]
    checks: list[Check]
    copied: list[set[int]]
    glances: list[Glance]
    seconds: dict[str, float]

    @property
    def alarm(self) -> int | None:
        """The step at which the rule stopped."""
        return next((check.step for check in self.checks if check.stops), None)

    @property
    def first_copy(self) -> int | None:
        """The first check with a copy among its outputs."""
        seen = zip(self.checks, self.copied, strict=False)
        return next((check.step for check, copied in seen if copied), None)

    @property
    def named(self) -> set[int]:
        """The training images named at the last check."""
        return {self.watched[place] for place in self.checks[-1].onsets}


def run_rehearsals(
    folder: Path, *, seed: int = 0, recipes: Sequence[Recipe] = tuple(SHORT.values()),
    checks: int = CHECKS, outputs: int = OUTPUTS,
) -> Run:  # fmt: skip
    """Train every recipe and its clean twin, two at a time, and write what the monitors saw.

    Args:
        folder: Run folder; the monitors have theirs inside.
        seed: Added to the recipes' own seeds: other weights, batches and planted images.
        recipes: What is trained.
        checks: Checks of each training, evenly over its steps.
        outputs: Outputs drawn at every check of the models, not of the twins.
    """
    watch = Stopwatch()
    asked = [shift_seeds(recipe, seed) for recipe in recipes]
    run = start_run(
        folder, kind="rehearsal",
        spec={"recipes": [r.model_dump(mode="json") for r in asked], "checks": checks}
        | {"outputs": outputs, "seed": seed},
        provenance={},
    )  # fmt: skip
    with ProcessPoolExecutor(
        2, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        # The longer ones first.
        planted = [pool.submit(rehearse, r, r, folder, checks, outputs) for r in asked]
        clean = [without_planting(r) for r in asked]
        twins = [
            pool.submit(rehearse, c, r, folder, checks, 0)
            for c, r in zip(clean, asked, strict=True)
        ]
        pairs = [(a.result(), b.result()) for a, b in zip(planted, twins, strict=True)]
    models = [compare(model, twin) for model, twin in pairs]
    return finish_run(run, results={"models": models}, cost={"seconds": watch.seconds})


def rehearse(
    recipe: Recipe, watched_of: Recipe, folder: Path, checks: int, outputs: int
) -> Rehearsal:
    """Train one model under a monitor.

    Args:
        recipe: What is trained.
        watched_of: The recipe whose planted images are watched: its own, or its model's.
        folder: Where the run folder of the monitor is written.
        checks: Checks of the training, evenly over its steps.
        outputs: Outputs drawn at every check.
    """
    model = build_short(recipe)
    watched = choose_watched(build_short(watched_of), num_once=NUM_ONCE)
    copied, timed = [], {"outputs": 0.0, "beside": 0.0}

    def count_copies(denoiser: Denoiser) -> float:
        watch = Stopwatch()
        share, images = draw_copies(replace(model, denoiser=denoiser), outputs)
        copied.append(images)
        timed["outputs"] += watch.seconds
        return share

    monitor = Monitor(
        model.training_set.images[torch.from_numpy(watched)], model.held_out,
        MonitorSpec(recipe.steps // checks, checks=checks, fdr=FDR, probe=len(watched)),
        count_copies=count_copies if outputs else None, out=folder / recipe.name,
    )  # fmt: skip
    loop = train(start_training(model.denoiser, recipe), model.build_lesson(), recipe)
    whole, glances = Stopwatch(), []
    for step, state in WatchedLoop(loop, lambda state: state.average, monitor):
        if monitor.checks and monitor.checks[-1].step == step:
            watch = Stopwatch()
            glances.append(glance(model, state.average, step))
            timed["beside"] += watch.seconds
    checking = sum(check.seconds for check in monitor.checks)
    training = whole.seconds - checking - timed["beside"]
    return Rehearsal(
        recipe, folder / recipe.name, watched.tolist(), {*model.planted}, monitor.checks, copied,
        glances, timed | {"training": training, "monitor": checking - timed["outputs"]},
    )  # fmt: skip


def draw_copies(model: ZooModel, outputs: int) -> tuple[float, set[int]]:
    """Draw outputs from the same noise as ever; return their share of copies, and of what."""
    drawn = generate_outputs(model, outputs, seed=model.recipe.seed, stream="rehearsal")
    copies = drawn.labels == "copy"
    return float(copies.mean()), {*drawn.nearest[copies].tolist()}


def glance(model: ZooModel, denoiser: Denoiser, step: int) -> Glance:
    """Measure what the other rules go by."""
    site = ICR_SITES[isinstance(model.recipe, DitRecipe)]
    detector = build_detector(denoiser).model_copy(update={"sites": (site,)})
    icr = observe_icr(denoiser, model.training_set.images[:NUM_ICR], detector)
    return Glance(step, measure_validation(model.recipe, denoiser, model.held_out), icr)


@torch.no_grad()
def measure_validation(
    recipe: Recipe, denoiser: Denoiser, held_out: UInt8[Tensor, "case channel height width"]
) -> float:
    """Return the training loss on held-out images, with the same noise every time."""
    x0 = denoiser.encode(as_unit(held_out))
    loss = denoising_loss(
        denoiser, x0, torch.Generator().manual_seed(recipe.seed),
        cond=denoiser.null_condition(len(x0)),
        log_sigma_mean=recipe.log_sigma_mean, log_sigma_std=recipe.log_sigma_std,
    )  # fmt: skip
    return float(loss)


def compare(model: Rehearsal, twin: Rehearsal) -> dict[str, Any]:
    """Hold what the monitor said against the truth, and against its clean twin."""
    copied, named = model.copied[-1] & model.planted, model.named
    run = load_run(model.folder)
    seen, last = [*read_evidence(run)], read_part(run.list_checks()[-1])
    is_training = np.array(last["side"]) == "training"
    never = [index is None or model.watched[index] not in model.planted
             for index in last["index"].to_pylist()]  # fmt: skip
    return {
        "model": model.recipe.name,
        "alarm_step": model.alarm,
        "first_copy_step": model.first_copy,
        "copied": len(copied),
        "named": len(named),
        "named_right": len(named & copied),
        "named_not_copied": len(named & model.planted - copied),
        "false_names": len(named - model.planted),
        "clean_twin_alarm": twin.alarm,
        "clean_twin_names": len(twin.named),
        "false_stop": measure_false_stops(
            seen, is_training, np.array(never), false_stops=MonitorSpec(1).false_stops
        ),
        "beside": {
            "validation_stop": find_lowest(model.glances, "validation"),
            "icr_stop": find_lowest(model.glances, "icr"),
        },
        "steps": model.recipe.steps,
        "planted": len(model.planted),
        "copies": model.checks[-1].copies,
        "seconds": model.seconds,
        "twin_seconds": twin.seconds,
        "run": str(model.folder),
    }


def find_lowest(glances: Sequence[Glance], name: str) -> int | None:
    """Return the step of the lowest value; None when it is still falling at the last check."""
    known = [g for g in glances if getattr(g, name) is not None]
    if not known:
        return None
    lowest = min(known, key=lambda g: getattr(g, name))
    return None if lowest is known[-1] else lowest.step
