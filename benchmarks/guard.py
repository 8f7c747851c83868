"""Guard the samplers of zoo models, with known truth, and write the figures as a page.

    .venv/bin/python benchmarks/guard.py edm-fashion dit-fashion > docs/figures-guard.md

Fitted on novel outputs of one seed, reported on outputs of another: copies of the *report* half of
the planted images, on which nothing was chosen, and novel outputs. The rival is the detector of
finished pictures with as many noise draws, its threshold set on the same outputs.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from equipoise.auditing.subject import Subject, open_subject
from equipoise.bench.interval import estimate_auroc, estimate_sensitivity, exact_rate
from equipoise.detection import Calibration, calibrate_scores, load_calibration
from equipoise.guarding.fit import REFERENCE_SHARE, Evidence, collect_evidence, fit_guard
from equipoise.guarding.guard import Checked, Guard, score_final
from equipoise.guarding.sampler import SamplerSource
from equipoise.guarding.watch import Watch, combine_looks, score_look
from equipoise.images import as_unit, content_ids, quantize
from equipoise.representation import sites
from equipoise.zoo.package import ZooModel, load_zoo

NUM_FIT, NUM_REPORT = 1200, 800
NUM_RESAMPLED = 240
FIT_SEED, REPORT_SEED = 101, 202
PROMISED = 0.01
TIMED_BATCH, TIMED_PAIRS = 64, 3


@dataclass(frozen=True)
class Outputs:
    """Generations with what was seen on the way, and the truth about them."""

    evidence: Evidence
    pictures: torch.Tensor
    labels: np.ndarray
    report: np.ndarray
    nearest: np.ndarray

    @property
    def novel(self) -> np.ndarray:
        """Which are clearly novel."""
        return self.labels == "novel"


@dataclass(frozen=True)
class Score:
    """What a detector says of the outputs, and how many negatives may lie above its threshold."""

    name: str
    calibration: Calibration
    values: np.ndarray
    evaluations: str


def generate(model: ZooModel, subject: Subject, seed: int, count: int) -> Outputs:
    """Generate, keep what the sites showed at every noise level, and label."""
    detector = load_calibration(subject.shipped).detector
    ids = [f"guard/{seed}/{row:06d}" for row in range(count)]
    calls = [{"item_ids": ids, "seed": seed}]
    evidence = collect_evidence(SamplerSource(subject), calls, detector, mode="free")
    pictures = quantize(torch.stack(evidence.images))
    return Outputs(evidence, pictures, *label(model, pictures))


def label(model: ZooModel, pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say what pictures are, which copy an image of the report half, and which image."""
    truth = model.label(pictures)
    names, nearest = np.array(truth.names()), truth.nearest.numpy()
    report = np.array([model.split_of(int(index)) == "report" for index in nearest])
    return names, (names == "copy") & report, nearest


def score_modes(subject: Subject, fit: Outputs, report: Outputs) -> list[Score]:
    """Fit each mode on novel outputs of the one seed and score the outputs of the other."""
    shipped, denoiser = load_calibration(subject.shipped), subject.denoiser
    novel = fit.evidence.choose(torch.from_numpy(fit.novel))
    scores = []
    for mode in ("free", "early", "check"):
        calibration = fit_guard(
            denoiser, novel, shipped.detector, mode=mode, fpr=PROMISED, null="generated and novel"
        )
        if mode == "check":
            values = score_final(calibration.detector, denoiser, report.evidence.x0)
        else:
            values = combine_looks(calibration.looks, report.evidence.units, mode=mode)
        told = f"{share_of_forward(subject, calibration):.2f}" if mode == "check" else "0"
        scores.append(Score(f"guard, {mode}", calibration, values.numpy(), told))
    return [*scores, *score_pictures(subject, fit, report)]


def score_pictures(subject: Subject, fit: Outputs, report: Outputs) -> list[Score]:
    """Score finished pictures by the shipped detector, with 1, 2 and 4 draws."""
    shipped, denoiser = load_calibration(subject.shipped), subject.denoiser
    columns = [
        shipped.detector.score(denoiser, as_unit(part), content_ids(part)).per_draw
        for part in (fit.pictures[torch.from_numpy(fit.novel)], report.pictures)
    ]
    skipped = int(REFERENCE_SHARE * len(columns[0]))  # as many as the guard's scale is measured on
    share = share_of_forward(subject, shipped)
    scores = []
    for draws in (1, 2, 4):
        known, values = (column[:, :draws].mean(dim=1) for column in columns)
        calibration = calibrate_scores(
            shipped.detector, denoiser, known[skipped:], None,
            fpr=PROMISED, null="generated and novel",
        )  # fmt: skip
        name = f"finished picture, {draws} draw(s)"
        scores.append(Score(name, calibration, values.numpy(), f"{draws * share:.2f}"))
    return scores


def share_of_forward(subject: Subject, calibration: Calibration) -> float:
    """Share of a forward's FLOPs that is spent up to the last site."""
    shares = {site.name: site.share for site in sites(subject.denoiser)}
    return max(shares[name] for name in calibration.detector.sites)


def build_row(score: Score, report: Outputs) -> list[str]:
    """Write the figures of one detector."""
    calibration, values = score.calibration, score.values
    copies, groups = values[report.report], report.nearest[report.report]
    negatives = values[report.novel]
    area = estimate_auroc(copies, groups, negatives)
    found = estimate_sensitivity(
        copies, groups, np.array(calibration.scores), allowed_above=calibration.allowed_above
    )
    hits = int((negatives >= calibration.threshold).sum())
    low, high = calibration.allowed_false_positives(len(negatives))
    return [
        score.name, show(area), show(found),
        f"{hits} of {len(negatives)} ({low} to {high} allowed)",
        "yes" if low <= hits <= high else "no", score.evaluations,
    ]  # fmt: skip


def measure_early(score: Score, report: Outputs, evaluations: int) -> str:
    """Say how much of a generation of one output is saved where it is stopped."""
    calibration, spent = score.calibration, []
    passed = sorted(report.evidence.units, reverse=True)
    for row in np.flatnonzero(report.report & (score.values >= calibration.threshold)):
        for look in calibration.looks:
            sigma = look.detector.sigma
            visits = [visit[row : row + 1] for visit in report.evidence.units[sigma]]
            if float(score_look(look, visits)) >= calibration.threshold:
                before = passed[: passed.index(sigma) + 1]
                spent.append(sum(len(report.evidence.units[level]) for level in before))
                break
    levels = ", ".join(f"{look.detector.sigma:.3g}" for look in calibration.looks)
    return (
        f"*early* looks at sigma {levels}. The {len(spent)} copies that it flags are flagged after "
        f"{np.mean(spent):.1f} of {evaluations} evaluations on average (read off the same scores)."
    )


def resample(model: ZooModel, subject: Subject, calibration: Calibration) -> str:
    """Guard a generation with action "resample" and label what comes out before and after."""
    ids = [f"guard/{REPORT_SEED}/{row:06d}" for row in range(NUM_RESAMPLED)]
    with Guard(SamplerSource(subject), calibration, action=lambda item: item.image) as checked:
        first = checked(ids, seed=REPORT_SEED)
    with Guard(SamplerSource(subject), calibration, action="resample") as checked:
        after = checked(ids, seed=REPORT_SEED)
    withheld = sum(image is None for image in after.images)
    given = [count_copies(model, result) for result in (first, after)]
    drawn = sum(item.attempt for item in after.items)
    return (
        f"*resample* in mode free, {NUM_RESAMPLED} outputs, at most 3 new seeds each: "
        f"copies of any planted image {show(given[0])} before, {show(given[1])} among what is "
        f"given afterwards; {drawn} outputs drawn anew, {withheld} withheld in the end."
    )


def count_copies(model: ZooModel, result: Checked) -> dict:
    """Count the copies among the outputs that are given."""
    images = torch.stack([image for image in result.images if image is not None])
    names, _, _ = label(model, quantize(images))
    return exact_rate(int((names == "copy").sum()), len(names))


def measure_time(subject: Subject, calibrations: dict[str, Calibration]) -> str:
    """Compare processor seconds of the same generation with and without a guard, in turns."""
    ids = [f"time/{row}" for row in range(TIMED_BATCH)]
    source = SamplerSource(subject)

    def plain() -> None:
        for request in source.ask(ids, seed=1):
            request.run(Watch((), pooling="max", sigmas=()))

    runs: dict[str, Callable[[], object]] = {"": plain}
    for mode, calibration in calibrations.items():
        guard = Guard(source, calibration)
        guard.__enter__()
        runs[mode] = lambda guard=guard: guard(ids, seed=1)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TIMED_PAIRS + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            spent[name].append(time.process_time() - start)
    medians = {name: float(np.median(values[1:])) for name, values in spent.items()}
    spread = (max(spent[""][1:]) - min(spent[""][1:])) / medians[""]
    told = ", ".join(
        f"{name} {100 * (medians[name] / medians[''] - 1):+.1f} %" for name in calibrations
    )
    return (
        f"Processor seconds against the same generation without a guard ({TIMED_BATCH} outputs, "
        f"median of {TIMED_PAIRS} turns): {told}; the turns without a guard differ among "
        f"themselves by {100 * spread:.1f} %."
    )


def show(rate: dict) -> str:
    """Write a rate with its interval."""
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def write_section(name: str) -> None:
    """Measure one model and print its part of the page."""
    model, subject = load_zoo(name), open_subject(f"zoo:{name}")
    fit = generate(model, subject, FIT_SEED, NUM_FIT)
    report = generate(model, subject, REPORT_SEED, NUM_REPORT)
    scores = score_modes(subject, fit, report)
    evaluations = sum(map(len, report.evidence.units.values()))
    by_mode = {score.calibration.mode: score for score in scores[:3]}
    looked = by_mode["free"].calibration.detector
    print(f"## zoo:{name}\n")
    print(
        f"Fitted on {int(fit.novel.sum())} novel outputs, reported on {int(report.report.sum())} "
        f"copies of {len(set(report.nearest[report.report]))} planted images and "
        f"{int(report.novel.sum())} novel outputs. *free* reads {looked.draws} forward(s) at "
        f"sigma {looked.sigma:.3g}, {'with' if report.evidence.conditioned else 'without'} a "
        f"condition. An output costs {evaluations} evaluations of the network.\n"
    )
    head = ["judged by", "AUROC", "TPR at the threshold", "false positives", "kept"]
    print("| " + " | ".join([*head, "evaluations besides"]) + " |")
    print("|" + "---|" * 6)
    for score in scores:
        print("| " + " | ".join(build_row(score, report)) + " |")
    print("\n" + measure_early(by_mode["early"], report, evaluations) + "\n")
    print(resample(model, subject, by_mode["free"].calibration) + "\n")
    timed = {mode: score.calibration for mode, score in by_mode.items() if mode != "early"}
    print(measure_time(subject, timed) + "\n", flush=True)


def main(names: list[str]) -> None:
    """Measure every model and print the page."""
    torch.set_num_threads(1)
    print("# Figures of the guard\n")
    print(
        f"`python benchmarks/guard.py {' '.join(names)}`: the modes of [the guard](guard.md) "
        f"beside the detector of finished pictures, at a promised rate of {PROMISED:.0%}. "
        f"{NUM_FIT} outputs of seed {FIT_SEED} set the thresholds, {NUM_REPORT} of seed "
        f"{REPORT_SEED} are reported on. Intervals are 95 %; those of AUROC and TPR resample "
        "planted images.\n"
    )
    print(
        f"Machine: two cores, AVX2, no AMX, one thread, torch {version('torch')}, 2026-11; other "
        "work ran beside.\n"
    )
    for name in names:
        write_section(name)


if __name__ == "__main__":
    main(sys.argv[1:])
