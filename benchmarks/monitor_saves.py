"""What the monitor sees at the saves of zoo trainings, with known truth, as a page.

    .venv/bin/python benchmarks/monitor_saves.py edm-fashion dit-fashion > docs/figures-monitor.md

The probe is every planted image and 150 training images that are not planted, against all
held-out images. Truth: the planted images that the finished model copies, by its card.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from machine import describe_machine

from equipoise.bench.interval import estimate_auroc
from equipoise.monitoring.consistency import observe_icr
from equipoise.monitoring.false_stop import measure_false_stops
from equipoise.monitoring.probe import Evidence, Probe, build_detector, look
from equipoise.monitoring.split import name_images, weigh_images
from equipoise.monitoring.stop_rule import Course, StopRule
from equipoise.zoo.package import MODELS, ZooModel, load_zoo

NUM_ONCE = 150
RULE = StopRule(false_stops=0.05, checks=50)
FDR = 0.05


@dataclass(frozen=True)
class Seen:
    """What was seen of one set of weights."""

    name: str
    evidence: Evidence
    icr: float | None
    copies: str


def build_probe(model: ZooModel) -> Probe:
    """Take the planted images and some that are not."""
    planted = sorted(model.planted)
    once = [i for i in range(model.recipe.num_images) if i not in model.planted]
    chosen = np.random.default_rng(0).choice(once, NUM_ONCE, replace=False)
    indices = np.array([*planted, *sorted(chosen.tolist())])
    pictures = torch.cat([model.training_set.images[torch.from_numpy(indices)], model.held_out])
    return Probe(pictures, indices)


def list_weights(name: str, model: ZooModel) -> list[tuple[str, str]]:
    """List the saves, the finished model and its clean twin, each with its share of copies."""
    looks = {look["step"]: look for look in model.card["training"]["looks"]}
    saves = sorted(int(path.stem) for path in (MODELS / name / "saves").glob("*.safetensors"))
    steps = [*saves, model.recipe.steps]
    told = {
        step: f"{looks[step]['copy']} of {looks[step]['n']}" for step in steps if step in looks
    }
    rows = [(f"{name}@{step}", told.get(step, "")) for step in saves]
    return [*rows, (name, told.get(model.recipe.steps, "")), (f"{name}-clean", "")]


def observe(name: str, probe: Probe, copies: str) -> Seen:
    """Look at one set of weights."""
    denoiser = load_zoo(name).denoiser
    detector = build_detector(denoiser)
    trained = probe.pictures[: len(probe.indices)]
    evidence = look(probe, denoiser, detector)
    return Seen(name, evidence, observe_icr(denoiser, trained, detector), copies)


def build_row(
    checks: Sequence[Seen], probe: Probe, course: Course, copied: set[int], never: set[int]
) -> list[str]:
    """Write what the last of some checks of a course would have said."""
    is_training, seen = probe.is_training, checks[-1]
    weights = weigh_images([check.evidence for check in checks])
    naming = name_images(weights, is_training, fdr=FDR)
    named = set(probe.indices[naming.named].tolist())
    ruling = course.look(weights)
    p_value = ruling.find_p_values(weights[None, is_training].sum(axis=1))[0]
    planted = np.isin(probe.indices, sorted(copied))
    splits = []
    for values in (seen.evidence.spikiness, seen.evidence.residual):
        rows = np.flatnonzero(planted)
        splits.append(show(estimate_auroc(values[rows], rows, values[~is_training])))
    return [
        f"`{seen.name}`", seen.copies, *splits,
        "-" if seen.icr is None else f"{seen.icr:.3f}",
        f"{p_value:.5f}", f"{ruling.level:.5f}", "alarm" if p_value <= ruling.level else "-",
        f"{len(named & copied)} of {len(copied)}",
        f"{len(named - copied - never)} of {len(set(probe.indices.tolist()) - copied - never)}",
        f"{len(named & never)} of {len(never)}",
    ]  # fmt: skip


def show(rate: dict) -> str:
    """Write a rate with its interval."""
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def write_section(name: str) -> None:
    """Measure one training and print its part of the page."""
    model = load_zoo(name)
    probe = build_probe(model)
    counts = model.card["outputs"]["copies_by_planted_image"]
    copied = {int(index) for index, count in counts.items() if count}
    seen = [observe(weights, probe, copies) for weights, copies in list_weights(name, model)]
    print(f"## zoo:{name}\n")
    print(
        f"{len(model.planted)} planted images, of which the finished model copies {len(copied)} "
        f"at least once among {model.card['outputs']['n']} outputs; {NUM_ONCE} images "
        f"that are not planted, {int((~probe.is_training).sum())} held out.\n"
    )
    head = ["weights", "copies", "spikiness, AUROC", "residual, AUROC", "ICR", "p-value"]
    head += ["stops at", "alarm"]
    names = ["named: copied in the end", "planted, not copied", "not planted"]
    print("| " + " | ".join([*head, *names]) + " |")
    print("|" + "---|" * 11)
    never = set(probe.indices.tolist()) - set(model.planted)
    *saves, twin = seen
    for rows in (saves, [twin]):
        course = Course(RULE, probe.is_training)
        for check in range(1, len(rows) + 1):
            row = build_row(rows[:check], probe, course, copied, never)
            print("| " + " | ".join(row) + " |")
    rate = measure_false_stops(
        [one.evidence for one in saves], probe.is_training,
        np.r_[[i in never for i in probe.indices], ~probe.is_training[len(probe.indices):]],
        false_stops=RULE.false_stops,
    )  # fmt: skip
    print(
        f"\nFalse stops among {rate['n']} relabellings of the images that are not planted and "
        f"those held out, over the {len(saves)} saves: {show(rate)}; promised 0.05.\n",
        flush=True,
    )


def main(names: list[str]) -> None:
    """Measure every training and print the page."""
    torch.set_num_threads(1)
    print("# Figures of the monitor\n")
    print(
        f"`python benchmarks/monitor_saves.py {' '.join(names)}`: what a check of "
        "[the monitor](monitor.md) says of the saves of these trainings and of the clean twin "
        "(same images, none planted), with its default detector. AUROC: planted images that the "
        "finished model copies against held-out images; 95 % intervals, which allow for a planted "
        "image that nobody saw. "
        f"The saves count as the first checks of {RULE.checks}, at a rate of "
        f"{RULE.false_stops}; names at a false discovery rate of "
        f"{FDR:.0%}. Copies: of 256 outputs, by the card.\n"
    )
    print(f"{describe_machine()}, one thread.\n")
    for name in names:
        write_section(name)


if __name__ == "__main__":
    main(sys.argv[1:])
