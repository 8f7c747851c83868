"""How often the intervals of an AUROC cover the truth, at the group counts of the zoo.

    python benchmarks/coverage.py [SIMULATIONS] > docs/coverage.md

A detector's scores are simulated: every planted image has its own shift (normal, with the spread
of the setting), every copy its own noise, negatives are standard normal. The true AUROC is then
known in closed form. Copies fall on planted images as the known copies of the shipped calibration
do, as many as a bench of 1,000 outputs has.
"""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from equipoise.bench.cautious import estimate_area, estimate_area_difference
from equipoise.bench.interval import estimate_auroc
from equipoise.detection import load_calibration
from equipoise.zoo.package import MODELS

AREAS = (0.95, 0.98, 0.99, 0.995, 0.999)
NUM_COPIES = 55
NUM_NEGATIVES = 300
RESAMPLES = 400
PLAIN_EVERY = 4  # the grouped bootstrap costs most, and is only the comparison


@dataclass(frozen=True)
class Setting:
    """How planted images differ: the model their counts come from, and two spreads."""

    model: str
    between: float
    within: float


SETTINGS = (Setting("edm-fashion", 0.5, 1.0), Setting("edm-fashion", 1.5, 0.5))


@dataclass(frozen=True)
class Row:
    """Shares of simulations whose interval covers, with the mean number of planted images."""

    images: float
    cautious: float
    difference: float
    width: float
    percentile: float


def count_copies(model: str) -> np.ndarray:
    """Share of the known copies that each planted image of the report half has."""
    copies = load_calibration(MODELS / model / "calibration.json").copies
    counts = np.array([len(known.scores) for known in copies], dtype=float)
    return counts / counts.sum()


def simulate(setting: Setting, area: float, *, simulations: int, seed: int = 0) -> Row:
    """Simulate benches with a known AUROC, and a second detector of the same AUROC."""
    generator = np.random.default_rng(seed)
    shares = count_copies(setting.model)
    spread = np.sqrt(1 + setting.between**2 + setting.within**2)
    mean = stats.norm.ppf(area) * spread
    told, plain = [], []
    for simulation in range(simulations):
        sizes = generator.multinomial(NUM_COPIES, shares)
        groups = np.repeat(np.arange(len(sizes)), sizes)
        shift = mean + setting.between * generator.standard_normal(len(sizes))
        copies, negatives = _draw(generator, shift[groups], setting.within)
        # The rival has shifts of its own by half, and the same truth.
        own = mean + setting.between * generator.standard_normal(len(sizes))
        rival = mean + ((shift - mean) + (own - mean)) / np.sqrt(2)
        other = _draw(generator, rival[groups], setting.within)
        cautious = estimate_area(copies, groups, negatives, resamples=RESAMPLES)
        if simulation % PLAIN_EVERY == 0:
            plain.append(_covers(estimate_auroc(copies, groups, negatives), area))
        difference = estimate_area_difference(
            copies, negatives, *other, groups, resamples=RESAMPLES
        )
        told.append((
            len(np.unique(groups)), _covers(cautious, area), _covers(difference, 0.0),
            cautious["high"] - cautious["low"],
        ))  # fmt: skip
    return Row(*np.mean(told, axis=0).tolist(), percentile=float(np.mean(plain)))


def _draw(
    generator: np.random.Generator, shifts: np.ndarray, within: float
) -> tuple[np.ndarray, np.ndarray]:
    noise = within * generator.standard_normal(len(shifts))
    return shifts + noise, generator.standard_normal(NUM_NEGATIVES)


def _covers(rate: dict, truth: float) -> bool:
    return rate["low"] <= truth <= rate["high"]


def main() -> None:
    """Print the page."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    total = simulations * len(SETTINGS) * len(AREAS)
    print(HEAD.format(simulations=simulations, total=total, page=Path(__file__).name))
    for setting in SETTINGS:
        for area in AREAS:
            row = simulate(setting, area, simulations=simulations)
            print(
                f"| {setting.model} | {setting.between} / {setting.within} | {area} | "
                f"{row.images:.1f} | {row.cautious:.1%} | {row.width:.3f} | {row.percentile:.1%} "
                f"| {row.difference:.1%} |",
                flush=True,
            )
    print(f"\nMachine: {platform.machine()}, two cores, AVX2, no AMX; 2026-11.")


HEAD = """# What the intervals are worth

`python benchmarks/{page} {simulations}`: {total:,} simulated benches, {simulations} a row, with the group
counts of the zoo and an AUROC that is known. *Cautious* is the interval of areas in `equipoise bench` (not of its shares of copies found): the Bayesian
bootstrap over planted images and negatives with one planted image more, at chance for the lower end and told
perfectly for the upper. *Percentile* is the grouped bootstrap of the demo, on every fourth bench. *Difference* is the cautious interval of the
difference to a rival of the same AUROC. Nominal: 95 %; too wide is allowed. *Spreads*: of planted images, of
copies of one image, in standard deviations of the negatives.

| counts of | spreads | AUROC | planted images | cautious covers | mean width | percentile covers | difference covers |
|---|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    main()
