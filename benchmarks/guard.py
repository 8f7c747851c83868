r"""Guard the samplers of zoo models, with known truth, and write the figures as a page.

    .venv/bin/python benchmarks/guard.py edm-fashion dit-fashion > docs/figures-guard.md
    .venv/bin/python benchmarks/guard.py sd-emoji --fit 1500 --report 700 \
        > docs/figures-guard-sd.md

Fitted on novel outputs of one seed, reported on outputs of another: copies of the *report* half of
the planted images, on which nothing was chosen, and novel outputs. The rival is the detector of
finished pictures with as many noise draws, its threshold set on the same outputs. Where a model
ships a detector that is told the prompt, it stands beside the one that is told nothing, and
*resample* and what it costs are those of the told one.

What *resample* changes is measured on the outputs of the report seed: the share of copies, and
whether what is no copy stays what it was. The latter is an equivalence test: along each of the
leading principal components of the training pictures the mean may move by less than EFFECT
standard deviations, which two one-sided t-tests of Welch must both show, for every component.
"""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from machine import describe_machine
from scipy import stats

from equipoise.auditing.subject import Subject, open_subject
from equipoise.bench.interval import estimate_auroc, estimate_sensitivity, exact_rate
from equipoise.detection import Calibration, Spikiness, calibrate_scores, load_calibration
from equipoise.guarding.fit import REFERENCE_SHARE, Evidence, collect_evidence, fit_guard
from equipoise.guarding.guard import Guard, score_final
from equipoise.guarding.sampler import SamplerSource
from equipoise.guarding.watch import Watch, combine_looks, score_look
from equipoise.images import as_unit, content_ids, quantize
from equipoise.representation import sites
from equipoise.zoo.package import ZooModel, load_zoo

FIT_SEED, REPORT_SEED = 111, 212
PROMISED = 0.01
RESAMPLED = (0.01, 0.05)
"""Promised rates at which flagged outputs are drawn anew."""
EFFECT, COMPONENTS, LEVEL = 0.2, 8, 0.05
"""Largest movement of a mean, standard deviations; in how many directions; level of the tests."""
TIMED_BATCH, TIMED_PAIRS = 64, 3


@dataclass(frozen=True)
class Outputs:
    """Generations with what was seen on the way, and the truth about them."""

    evidence: dict[str, Evidence]
    """By detector, see `list_detectors`."""
    conditions: torch.Tensor | None
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


def list_detectors(subject: Subject) -> dict[str, Spikiness]:
    """List the detectors that a model ships: told nothing and, where it has one, the prompt."""
    paths = {"": subject.shipped, "told": subject.told}
    return {name: load_calibration(path).detector for name, path in paths.items() if path}


def generate(model: ZooModel, subject: Subject, seed: int, count: int) -> Outputs:
    """Generate, keep what the sites showed at every noise level, and label."""
    ids, source = list_ids(seed, count), SamplerSource(subject)
    evidence = {
        name: collect_evidence(source, [{"item_ids": ids, "seed": seed}], detector, mode="free")
        for name, detector in list_detectors(subject).items()
    }
    pictures = quantize(torch.stack(evidence[""].images))
    conditions = subject.find_conditions(ids, seed=seed)
    return Outputs(evidence, conditions, pictures, *label(model, pictures))


def list_ids(seed: int, count: int) -> list[str]:
    """Name outputs; the names key their noise."""
    return [f"guard/{seed}/{row:06d}" for row in range(count)]


def label(model: ZooModel, pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say what pictures are, which copy an image of the report half, and which image."""
    truth = model.label(pictures)
    names, nearest = np.array(truth.names()), truth.nearest.numpy()
    report = np.array([model.split_of(int(index)) == "report" for index in nearest])
    return names, (names == "copy") & report, nearest


def score_modes(subject: Subject, fit: Outputs, report: Outputs) -> list[Score]:
    """Fit each mode on novel outputs of the one seed and score the outputs of the other."""
    denoiser, scores = subject.denoiser, []
    for name, detector in list_detectors(subject).items():
        novel = fit.evidence[name].choose(torch.from_numpy(fit.novel))
        seen, who = report.evidence[name], f"guard{' ' if name else ''}{name}"
        for mode in ("free", "early") if name else ("free", "early", "check"):
            calibration = fit_guard(
                denoiser, novel, detector, mode=mode, fpr=PROMISED, null="generated and novel"
            )
            if mode == "check":
                values = score_final(calibration.detector, denoiser, seen.x0)
            else:
                values = combine_looks(calibration.looks, seen.units, mode=mode)
            cost = f"{share_of_forward(subject, calibration):.2f}" if mode == "check" else "0"
            scores.append(Score(f"{who}, {mode}", calibration, values.numpy(), cost))
    return [*scores, *score_pictures(subject, fit, report)]


def score_pictures(subject: Subject, fit: Outputs, report: Outputs) -> list[Score]:
    """Score finished pictures by the shipped detectors, with 1, 2 and 4 draws."""
    scores = []
    for name, detector in list_detectors(subject).items():
        columns = [
            detector.score(
                subject.denoiser, as_unit(one.pictures), content_ids(one.pictures),
                conditions=one.conditions,
            ).per_draw
            for one in (fit, report)
        ]  # fmt: skip
        columns[0] = columns[0][torch.from_numpy(fit.novel)]
        skipped = int(REFERENCE_SHARE * len(columns[0]))  # as many as the guard's scale takes
        for draws in (1, 2, 4):
            known, values = (column[:, :draws].mean(dim=1) for column in columns)
            calibration = calibrate_scores(
                detector, subject.denoiser, known[skipped:], None,
                fpr=PROMISED, null="generated and novel",
            )  # fmt: skip
            cost = f"{draws * share_of_forward(subject, calibration):.2f}"
            who = f"finished picture{' ' if name else ''}{name}, {draws} draw(s)"
            scores.append(Score(who, calibration, values.numpy(), cost))
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
    units = report.evidence["told" if calibration.conditioned else ""].units
    passed = sorted(units, reverse=True)
    for row in np.flatnonzero(report.report & (score.values >= calibration.threshold)):
        for look in calibration.looks:
            sigma = look.detector.sigma
            visits = [visit[row : row + 1] for visit in units[sigma]]
            if float(score_look(look, visits)) >= calibration.threshold:
                before = passed[: passed.index(sigma) + 1]
                spent.append(sum(len(units[level]) for level in before))
                break
    levels = ", ".join(f"{look.detector.sigma:.3g}" for look in calibration.looks)
    if not spent:
        return f"*early* looks at sigma {levels}, and flags no copy."
    return (
        f"*early*{', told,' if calibration.conditioned else ''} looks at sigma {levels}. The "
        f"{len(spent)} copies that it flags are flagged after {np.mean(spent):.1f} of "
        f"{evaluations} evaluations on average (read off the same scores)."
    )


def resample(model: ZooModel, subject: Subject, fit: Outputs, report: Outputs, fpr: float) -> str:
    """Generate the report's outputs again under action "resample" and compare what comes out."""
    name, detector = list(list_detectors(subject).items())[-1]
    calibration = fit_guard(
        subject.denoiser, fit.evidence[name].choose(torch.from_numpy(fit.novel)), detector,
        mode="free", fpr=fpr, null="generated and novel",
    )  # fmt: skip
    with Guard(SamplerSource(subject), calibration, action="resample") as checked:
        result = checked(list_ids(REPORT_SEED, len(report.labels)), seed=REPORT_SEED)
    given = quantize(torch.stack([image for image in result.images if image is not None]))
    labels, copies = label(model, given)[0], report.labels == "copy"
    before, after = (exact_rate(int((x == "copy").sum()), len(x)) for x in (report.labels, labels))
    scores = combine_looks(calibration.looks, report.evidence[name].units, mode="free").numpy()
    passed = scores < calibration.threshold
    implied = float((copies & passed).sum() / passed.sum())
    fewer = (
        f"{before['value'] / after['value']:.1f} times fewer" if after["value"] else "none is left"
    )
    withheld = sum(image is None for image in result.images)
    return (
        f"*resample* in mode free{', told,' if name else ''} at a promised rate of {fpr:.0%}, at "
        "most 3 new seeds each: copies "
        f"of any planted image {show(before)} of {before['n']} before, {show(after)} of "
        f"{after['n']} afterwards, {fewer}; {implied:.3f} is what the recall over all of "
        f"these copies, {float((~passed)[copies].mean()):.3f}, implies. "
        f"{sum(item.attempt for item in result.items)} draws anew, {withheld} withheld. "
        + compare_rest(model, report.pictures[torch.from_numpy(~copies)],
                       given[torch.from_numpy(labels != "copy")])
    )  # fmt: skip


def compare_rest(model: ZooModel, before: torch.Tensor, after: torch.Tensor) -> str:
    """Test that what is no copy moves by less than EFFECT standard deviations."""
    known = as_unit(model.training_set.images).flatten(1).double()
    axes = torch.linalg.svd(known - known.mean(dim=0), full_matrices=False).Vh[:COMPONENTS]
    first, second = (as_unit(part).flatten(1).double() @ axes.T for part in (before, after))
    spread = first.std(dim=0)
    x, y = (first / spread).numpy(), (second / spread).numpy()
    moved = y.mean(axis=0) - x.mean(axis=0)
    p_values = [
        max(
            stats.ttest_ind(y + EFFECT, x, equal_var=False, alternative="greater").pvalue[axis],
            stats.ttest_ind(y - EFFECT, x, equal_var=False, alternative="less").pvalue[axis],
        )
        for axis in range(COMPONENTS)
    ]
    shown = "equivalent" if max(p_values) <= LEVEL else "not shown to be equivalent"
    return (
        f"What is no copy is {shown}: over {COMPONENTS} principal components its mean moves by at "
        f"most {np.abs(moved).max():.3f} standard deviations (n = {len(x)} and {len(y)}; two "
        f"one-sided tests against {EFFECT}, largest p = {max(p_values):.2g})."
    )


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


def write_section(name: str, *, num_fit: int, num_report: int) -> None:
    """Measure one model and print its part of the page."""
    model, subject = load_zoo(name), open_subject(f"zoo:{name}")
    fit = generate(model, subject, FIT_SEED, num_fit)
    report = generate(model, subject, REPORT_SEED, num_report)
    scores = score_modes(subject, fit, report)
    evaluations = sum(map(len, report.evidence[""].units.values()))
    guards = [score for score in scores if score.calibration.mode != "image"]
    levels = "; ".join(
        f"{score.name.removeprefix('guard ')}: "
        + ", ".join(f"{look.detector.sigma:.3g}" for look in score.calibration.looks)
        for score in guards
        if score.calibration.mode == "free"
    ).replace("guard, ", "")
    print(f"## zoo:{name}\n")
    print(
        f"Fitted on {int(fit.novel.sum())} novel outputs, reported on {int(report.report.sum())} "
        f"copies of {len(set(report.nearest[report.report]))} planted images and "
        f"{int(report.novel.sum())} novel outputs. Forwards that are read, by sigma: {levels}. "
        f"Told nothing, they are "
        f"{'with' if report.evidence[''].conditioned else 'without'} a condition. An output costs "
        f"{evaluations} passes of the sampler.\n"
    )
    head = ["judged by", "AUROC", "TPR at the threshold", "false positives", "kept"]
    print("| " + " | ".join([*head, "evaluations besides"]) + " |")
    print("|" + "---|" * 6)
    for score in scores:
        print("| " + " | ".join(build_row(score, report)) + " |")
    early = [score for score in guards if score.calibration.mode == "early"]
    print("\n" + measure_early(early[-1], report, evaluations) + "\n")
    for fpr in RESAMPLED:
        print(resample(model, subject, fit, report, fpr) + "\n", flush=True)
    timed = {
        score.name.removeprefix("guard").strip(", "): score.calibration
        for score in guards
        if score.calibration.mode != "early"
    }
    print(measure_time(subject, timed) + "\n", flush=True)


def main() -> None:
    """Measure every model and print the page."""
    parser = ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--fit", type=int, default=4000)
    parser.add_argument("--report", type=int, default=1500)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"# Figures of the guard{', text-to-image' if given.names == ['sd-emoji'] else ''}\n")
    print(
        f"`python benchmarks/guard.py {' '.join(given.names)} --fit {given.fit} --report "
        f"{given.report}`: the modes of [the guard](guard.md) beside the detector of finished "
        f"pictures, at a promised rate of {PROMISED:.0%}. {given.fit} outputs of seed {FIT_SEED} "
        f"set the thresholds, {given.report} of seed {REPORT_SEED} are reported on. Intervals are "
        "95 %; those of AUROC and TPR allow for a planted image that nobody saw.\n"
    )
    print(f"{describe_machine()}, one thread; other work ran beside.\n")
    for name in given.names:
        write_section(name, num_fit=given.fit, num_report=given.report)


if __name__ == "__main__":
    main()
