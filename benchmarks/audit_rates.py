"""What an audit's rates are worth: three calibrations, and the corrected share of copies.

    .venv/bin/python benchmarks/audit_rates.py > docs/rates.md

Fresh outputs of the zoo model are labelled by its training images (copy, novel; grey is left
out) and scored once by the shipped detector. Then three calibrations promise 1 %, and what they
do on other pictures is counted; and piles of 1,000 pictures are mixed from copies and novel
outputs, and it is counted how often the 95 % interval of the corrected share covers the truth.
"""

import sys

import numpy as np
import torch
from machine import describe_machine

from equipoise.auditing.parts import locate_shipped
from equipoise.auditing.prevalence import estimate_copy_rate, find_detection_limit
from equipoise.bench.interval import exact_rate
from equipoise.bench.outputs import generate_outputs
from equipoise.detection import Calibration, calibrate_scores, load_calibration
from equipoise.images import as_unit, content_ids
from equipoise.zoo.package import ZooModel, load_zoo

NAME = "edm-fashion"
NUM_OUTPUTS = 12_000
SEED = 101
NUM_CALIBRATION = 4000
NUM_HELD = 500
PILE = 1000
REPEATS = 200
SHARES = (0.0, 0.001, 0.01, 0.1, 0.5)
FPR = 0.01

Scores = dict[str, np.ndarray]


def draw_scores(model: ZooModel, shipped: Calibration) -> tuple[Scores, int]:
    """Score novel outputs, copies and held-out images; count the images that are copied."""
    outputs = generate_outputs(model, NUM_OUTPUTS, seed=SEED, stream="rates")

    def score(pictures: torch.Tensor) -> np.ndarray:
        ids = content_ids(pictures)
        return shipped.detector.score(model.denoiser, as_unit(pictures), ids).values.numpy()

    values = score(outputs.pictures)
    copied = outputs.labels == "copy"
    scores = {
        "novel": values[outputs.novel],
        "copy": values[copied],
        "held-out": score(model.held_out),
    }
    return scores, len(set(outputs.nearest[copied].tolist()))


def build_calibrations(shipped: Calibration, model: ZooModel, scores: Scores) -> dict:
    """Fit the three calibrations on the first of the novel and of the held-out scores."""
    novel = scores["novel"][:NUM_CALIBRATION]
    copies = np.random.default_rng(0).choice(scores["copy"], NUM_CALIBRATION // 20, replace=False)
    fitted_on = {
        "generated and novel": novel,
        "held-out real": scores["held-out"][:NUM_HELD],
        "own outputs": np.concatenate([novel[len(copies) :], copies]),
    }
    return {
        null: calibrate_scores(
            shipped.detector, model.denoiser, torch.from_numpy(values), model.held_out,
            fpr=FPR, null=null,
        )
        for null, values in fitted_on.items()
    }  # fmt: skip


def list_calibrations(calibrations: dict, scores: Scores) -> list[str]:
    """Write a row a calibration: what it promises, and what it does."""
    others = {
        "novel": scores["novel"][NUM_CALIBRATION:],
        "held-out": scores["held-out"][NUM_HELD:],
        "copy": scores["copy"],
    }
    lines = [
        "| calibrated on | n | threshold | flagged: other novel outputs | flagged: other held-out "
        "real | found: copies |",
        "|---|---|---|---|---|---|",
    ]
    for null, calibration in calibrations.items():
        name = f"{null}, 5 % copies among them" if null == "own outputs" else null
        rates = [show(count_flags(calibration, values)) for values in others.values()]
        head = f"| {name} | {calibration.n:,} | {calibration.threshold:.3f} | "
        lines.append(head + " | ".join(rates) + " |")
    return lines


def measure_coverage(
    calibration: Calibration, scores: Scores, share: float, rng: np.random.Generator
) -> str:
    """Mix piles with a share of copies; write how often the interval covers it."""
    novel, copies = scores["novel"][NUM_CALIBRATION:], round(share * PILE)
    rates = []
    for _ in range(REPEATS):
        pile = np.concatenate(
            [
                rng.choice(novel, PILE - copies, replace=False),
                rng.choice(scores["copy"], copies, replace=False),
            ]
        )
        flagged = int((pile >= calibration.threshold).sum())
        rates.append(estimate_copy_rate(calibration, flagged=flagged, n=PILE))
    covered = sum(rate["low"] <= share <= rate["high"] for rate in rates)
    value, low, high = (
        np.median([rate[key] for rate in rates]) for key in ("value", "low", "high")
    )
    unseen = np.mean([rate["low"] == 0 for rate in rates])
    return (
        f"| {share:.1%} | {show(exact_rate(covered, REPEATS))} | {value:.1%} | "
        f"{low:.1%} to {high:.1%} | {unseen:.0%} |"
    )


def count_flags(calibration: Calibration, values: np.ndarray) -> dict:
    """Count the share of scores at or above the threshold."""
    return exact_rate(int((values >= calibration.threshold).sum()), len(values))


def show(rate: dict) -> str:
    """Write a rate in percent with its interval and n."""
    low, high = f"{100 * rate['low']:.2f}", f"{100 * rate['high']:.2f}"
    return f"{100 * rate['value']:.2f} % ({low} to {high}; n {rate['n']:,})"


def show_limit(calibration: Calibration, n: int) -> str:
    """Write the smallest share that an audit of n pictures would notice."""
    limit = find_detection_limit(calibration, n)
    return f"{limit:.2%} of {n:,}" if limit is not None else f"none of {n:,}"


def main() -> None:
    """Draw, score, count, and print the page."""
    torch.set_num_threads(2)
    model, shipped = load_zoo(NAME), load_calibration(locate_shipped(NAME))
    scores, num_images = draw_scores(model, shipped)
    rng = np.random.default_rng(0)
    counts = ", ".join(f"{len(values):,} {name}" for name, values in scores.items())
    sensitivity = shipped.sensitivity()
    known = show(sensitivity.describe()) if sensitivity else "none"
    lines = [
        "# Rates of an audit",
        "",
        f"`python benchmarks/audit_rates.py`: {NUM_OUTPUTS:,} fresh outputs of `zoo:{NAME}` (seed "
        f"{SEED}): {counts}. The copies are of {num_images} planted images; grey outputs are left "
        f"out. {describe_machine()}. Intervals are exact, 95 %, those of copies as if copies of one "
        "image were independent.",
        "",
        f"## Three ways to calibrate, promise {FPR:.0%}",
        "",
        *list_calibrations(build_calibrations(shipped, model, scores), scores),
        "",
        "Each keeps its promise about what it was fitted on and about nothing else. Held-out real "
        "images score lower than novel outputs, so their threshold flags too many outputs; copies "
        "left among the outputs raise the threshold, so it finds far fewer copies.",
        "",
        "## The corrected share of copies",
        "",
        f"{REPEATS} piles of {PILE:,} pictures a row, mixed from copies of all planted images and "
        "from novel outputs that the calibration never saw. The shipped calibration: "
        f"{shipped.n:,} novel outputs, of known copies found {known}.",
        "",
        "| true share | covered by the 95 % interval | median estimate | median interval | piles "
        "where zero is not excluded |",
        "|---|---|---|---|---|",
        *(measure_coverage(shipped, scores, share, rng) for share in SHARES),
        "",
        "Smallest share noticed in 95 % of audits: "
        + ", ".join(show_limit(shipped, n) for n in (100, 1000, 10_000))
        + ".",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
