"""What an audit's rates are worth: three calibrations, and the corrected share of copies.

    python benchmarks/audit_rates.py > docs/rates.md

Fresh outputs of the zoo model are labelled by its training images (copy, novel; grey is left
out) and scored once by the shipped detector. Then

1. three calibrations promise 1 %, and what they do on other pictures is counted;
2. piles of 1,000 pictures are mixed from copies and novel outputs, and it is counted how often
   the 95 % interval of the corrected share covers the truth.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from equipoise.auditing.parts import locate_shipped
from equipoise.auditing.prevalence import estimate_copy_rate, find_detection_limit
from equipoise.bench.interval import exact_rate
from equipoise.bench.outputs import generate_outputs
from equipoise.detection import Calibration, calibrate_scores, load_calibration
from equipoise.images import as_unit, content_ids
from equipoise.runs import build_provenance
from equipoise.zoo.package import load_zoo

NAME = "edm-fashion"
NUM_OUTPUTS = 12_000
SEED = 101
NUM_CALIBRATION = 4000
PILE = 1000
REPEATS = 200
SHARES = (0.0, 0.001, 0.01, 0.1, 0.5)
FPR = 0.01


def show(rate):
    """Write a rate in percent with its interval and n."""
    value, low, high = (f"{100 * rate[key]:.2f}" for key in ("value", "low", "high"))
    return f"{value} % ({low} to {high}; {rate['n']:,})"


def build_calibrations(shipped, model, scores, pictures):
    """Fit the three calibrations; return them with the name of their null."""
    rng = np.random.default_rng(0)
    novel, held = scores["novel"][:NUM_CALIBRATION], scores["held-out"][:500]
    copies = rng.choice(scores["copy"], NUM_CALIBRATION // 20, replace=False)
    own = np.concatenate([novel[: NUM_CALIBRATION - len(copies)], copies])
    nulls = {
        "generated and novel": (novel, "generated and novel"),
        "held-out real": (held, "held-out real"),
        "own outputs, 5 % copies among them": (own, "own outputs"),
    }
    return {
        name: calibrate_scores(
            shipped.detector, model.denoiser, torch.from_numpy(values), pictures, fpr=FPR,
            null=null, copies=shipped.copies,
        )
        for name, (values, null) in nulls.items()
    }  # fmt: skip


def count_flags(calibration: Calibration, values):
    """Count the share of scores at or above the threshold."""
    return exact_rate(int((values >= calibration.threshold).sum()), len(values))


def print_calibrations(calibrations, scores):
    """Print what each calibration promises, and what it does."""
    print(
        "| calibrated on | n | threshold | flagged: other novel outputs | flagged: other "
        "held-out real | found: copies |\n|---|---|---|---|---|---|"
    )
    for name, calibration in calibrations.items():
        cells = [
            show(count_flags(calibration, scores["novel"][NUM_CALIBRATION:])),
            show(count_flags(calibration, scores["held-out"][500:])),
            show(count_flags(calibration, scores["copy"])),
        ]
        print(
            f"| {name} | {calibration.n:,} | {calibration.threshold:.3f} | "
            + " | ".join(cells)
            + " |"
        )


def measure_coverage(calibration: Calibration, scores, share, rng):
    """Mix piles and count how often the interval covers the truth."""
    novel = scores["novel"][NUM_CALIBRATION:]
    copies = round(share * PILE)
    covered, widths, values, zeros = 0, [], [], 0
    for _ in range(REPEATS):
        pile = np.concatenate([
            rng.choice(novel, PILE - copies, replace=False),
            rng.choice(scores["copy"], copies, replace=False),
        ])  # fmt: skip
        flagged = int((pile >= calibration.threshold).sum())
        rate = estimate_copy_rate(calibration, flagged=flagged, n=PILE)
        covered += rate["low"] <= share <= rate["high"]
        zeros += rate["low"] == 0
        widths.append((rate["low"], rate["high"]))
        values.append(rate["value"])
    low, high = np.median(widths, axis=0)
    return {
        "covered": exact_rate(covered, REPEATS),
        "value": float(np.median(values)),
        "low": float(low),
        "high": float(high),
        "unseen": zeros / REPEATS,
    }


def main():
    """Draw, score, print."""
    model = load_zoo(NAME)
    shipped = load_calibration(locate_shipped(NAME))
    outputs = generate_outputs(model, NUM_OUTPUTS, seed=SEED, stream="rates")
    detector = shipped.detector

    def score(pictures):
        ids = content_ids(pictures)
        return detector.score(model.denoiser, as_unit(pictures), ids).values.numpy()

    values = score(outputs.pictures)
    scores = {
        "novel": values[outputs.novel],
        "copy": values[outputs.labels == "copy"],
        "held-out": score(model.held_out),
    }
    made = build_provenance()
    counts = ", ".join(f"{len(v):,} {k}" for k, v in scores.items())
    images = len(set(outputs.nearest[outputs.labels == "copy"].tolist()))
    print("# Rates of an audit\n")
    print(f"`python benchmarks/audit_rates.py`: {NUM_OUTPUTS:,} fresh outputs of `zoo:{NAME}` ")
    print(
        f"(seed {SEED}): {counts}; the copies are of {images} planted images. Grey outputs are left out."
    )
    print(f"Machine: {made['processor']}, Python {made['python']}, torch {made['torch']}, ")
    print(
        f"{made['time'][:10]}. Intervals 95 %, exact; of the copies as if they were independent.\n"
    )
    print("## Three ways to calibrate, promise 1 %\n")
    calibrations = build_calibrations(shipped, model, scores, outputs.pictures[:NUM_CALIBRATION])
    print_calibrations(calibrations, scores)
    sensitivity = shipped.sensitivity()
    print("\n## The corrected share of copies\n")
    print(
        f"{REPEATS} piles of {PILE:,} pictures a row, mixed from copies and from novel outputs that the "
    )
    print(
        f"calibration never saw; the shipped calibration ({shipped.n:,} novel outputs; known copies found "
    )
    print(f"{show(sensitivity.describe())}, of {sensitivity.groups} images).\n")
    print(
        "| true share | covered by the 95 % interval | median estimate | median interval | piles in which zero is not excluded |"
    )
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for share in SHARES:
        found = measure_coverage(shipped, scores, share, rng)
        print(
            f"| {100 * share:g} % | {show(found['covered'])} | {100 * found['value']:.2f} % | "
            f"{100 * found['low']:.2f} to {100 * found['high']:.2f} % | {100 * found['unseen']:.0f} % |"
        )
    print("\nSmallest share noticed in 95 % of audits: " + ", ".join(
        f"{100 * limit:.2g} % of {n:,}" if (limit := find_detection_limit(shipped, n)) else f"none of {n:,}"
        for n in (100, 1000, 10_000)
    ) + ".")  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(2)
    assert Path("src/equipoise").is_dir(), "run from the root of the repository"
    sys.exit(main())
