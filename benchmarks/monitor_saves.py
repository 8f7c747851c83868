"""What the monitor sees at the saves of zoo trainings, with known truth, as a page.

    .venv/bin/python benchmarks/monitor_saves.py edm-fashion dit-fashion > docs/figures-monitor.md

The probe is every planted image and 150 training images that are not planted, against all
held-out images. Truth: the planted images that the finished model copies, by its card.
"""

import sys
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from equipoise.bench.interval import estimate_auroc, exact_rate
from equipoise.monitoring.consistency import observe_icr
from equipoise.monitoring.probe import Evidence, Probe, build_detector, look
from equipoise.monitoring.split import (
    StopRule,
    combine_signals,
    name_images,
    score_ranks,
)
from equipoise.zoo.package import MODELS, ZooModel, load_zoo

NUM_ONCE = 150
RULE = StopRule(false_stops=0.05, checks=50)
FDR = 0.05
RELABELLED = 1000


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


def build_row(seen: Seen, probe: Probe, copied: set[int], never: set[int]) -> list[str]:
    """Write what one check would have said."""
    is_training = probe.is_training
    combined = combine_signals(seen.evidence)
    naming = name_images(combined, is_training, fdr=FDR)
    named = set(probe.indices[naming.named].tolist())
    p_value = RULE.p_value(combined, is_training)
    planted = np.isin(probe.indices, sorted(copied))
    splits = []
    for values in (seen.evidence.spikiness, seen.evidence.residual):
        rows = np.flatnonzero(planted)
        splits.append(show(estimate_auroc(values[rows], rows, values[~is_training])))
    return [
        f"`{seen.name}`", seen.copies, *splits,
        "-" if seen.icr is None else f"{seen.icr:.3f}",
        f"{p_value:.4f}", "alarm" if p_value <= RULE.level else "-",
        f"{len(named & copied)} of {len(copied)}",
        f"{len(named - copied - never)} of {len(set(probe.indices.tolist()) - copied - never)}",
        f"{len(named & never)} of {len(never)}",
    ]  # fmt: skip


def measure_false_stops(seen: list[Seen], probe: Probe, planted: set[int]) -> dict:
    """Relabel training images that are not planted and held-out images over all saves."""
    once = np.array([int(index) not in planted for index in probe.indices])
    rows = np.r_[np.flatnonzero(once), np.flatnonzero(~probe.is_training)]
    rng = np.random.default_rng(1)
    labels = np.arange(len(rows)) < int(once.sum())
    rule = StopRule(RULE.false_stops, len(seen))
    combined = [
        score_ranks(one.evidence.spikiness[rows]) + score_ranks(one.evidence.residual[rows])
        for one in seen
    ]
    stopped = 0
    for _ in range(RELABELLED):
        drawn = rng.permutation(labels)
        stopped += any(rule.p_value(values, drawn) <= rule.level for values in combined)
    return exact_rate(stopped, RELABELLED)


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
    head = ["weights", "copies", "spikiness, AUROC", "residual, AUROC", "ICR", "p-value", "alarm"]
    names = ["named: copied in the end", "planted, not copied", "not planted"]
    print("| " + " | ".join([*head, *names]) + " |")
    print("|" + "---|" * 10)
    never = set(probe.indices.tolist()) - set(model.planted)
    for one in seen:
        print("| " + " | ".join(build_row(one, probe, copied, never)) + " |")
    rate = measure_false_stops(seen[:-1], probe, set(model.planted))
    print(
        f"\nFalse stops among {RELABELLED} relabellings of the images that are not planted and "
        f"those held out, over the {len(seen) - 1} saves: {show(rate)}; promised 0.05.\n",
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
        "finished model copies against held-out images, 95 % intervals by resampling images. "
        f"The rule stops at a p-value of {RULE.level:g}; names at a false discovery rate of "
        f"{FDR:.0%}. Copies: of 256 outputs, by the card.\n"
    )
    print(f"Machine: two cores, AVX2, no AMX, one thread, torch {version('torch')}, 2026-11.\n")
    for name in names:
        write_section(name)


if __name__ == "__main__":
    main(sys.argv[1:])
