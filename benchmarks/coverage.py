"""How often the intervals of a comparison cover the truth, at the group counts of the zoo.

    python benchmarks/coverage.py [SIMULATIONS] > docs/coverage.md

A detector's scores are simulated: every planted image has its own shift (normal, with the spread
of the setting), every copy its own noise, negatives are standard normal. The true AUROC, and the
true share of copies above a threshold, are then known in closed form. Copies fall on planted
images as the known copies of the shipped calibration do, as many as a bench of 1,000 outputs has.
"""

import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy import stats

from equipoise.bench.interval import (
    compare_pairs,
    estimate_auroc,
    estimate_difference,
    estimate_found_difference,
    estimate_sensitivity,
)
from equipoise.detection import load_calibration
from equipoise.zoo.package import MODELS

AREAS = (0.95, 0.98, 0.99, 0.995, 0.999)
PAIRS = ((0.98, 0.98), (0.99, 0.96), (0.99, 0.93), (0.95, 0.85))
FOUND_PAIRS = ((0.7, 0.7), (0.9, 0.7), (0.9, 0.5))
SHARES = (0.5, 0.7, 0.85, 0.95, 0.99)
NUM_COPIES = 55
NUM_NEGATIVES = 300
ALLOWED = NUM_NEGATIVES // 100
RESAMPLES = 400
SHARED = 0.7  # correlation of the shifts of two detectors


@dataclass(frozen=True)
class Setting:
    """How planted images differ: the model their counts come from, and two spreads."""

    model: str
    between: float
    within: float

    @property
    def spread(self) -> float:
        """Standard deviation of a copy of an unknown image."""
        return float(np.hypot(self.between, self.within))


SETTINGS = (Setting("edm-fashion", 0.5, 1.0), Setting("dit-fashion", 1.5, 0.5))


@dataclass(frozen=True)
class Row:
    """Shares of simulations whose interval covers, its mean width, mean planted images."""

    images: float
    covers: float
    width: float
    percentile: float


def count_copies(model: str) -> np.ndarray:
    """Share of the known copies that each planted image of the report half has."""
    copies = load_calibration(MODELS / model / "calibration.json").copies
    counts = np.array([len(known.scores) for known in copies], dtype=float)
    return counts / counts.sum()


@dataclass(frozen=True)
class Pair:
    """Shares of simulations whose interval of a difference covers, and of its lower ends."""

    covers: float
    too_high: float
    above_zero: float
    width: float


def simulate_area(setting: Setting, area: float, *, simulations: int) -> Row:
    """Simulate benches with a known AUROC."""
    generator = np.random.default_rng(0)
    shares = count_copies(setting.model)
    mean = stats.norm.ppf(area) * np.hypot(1, setting.spread)
    told = []
    for _ in range(simulations):
        groups = _draw_groups(generator, shares)
        shift = mean + setting.between * generator.standard_normal(len(shares))
        copies, negatives = _draw(generator, shift[groups], setting)
        found = estimate_auroc(copies, groups, negatives, resamples=RESAMPLES)
        plain = resample(compare_pairs(copies, negatives), groups, generator)
        told.append(_judge(found, plain, groups, area))
    return Row(*np.mean(told, axis=0).tolist())


def simulate_pair(setting: Setting, areas: tuple[float, float], *, simulations: int) -> Pair:
    """Simulate two detectors of known AUROC, to which much the same images are hard."""
    generator = np.random.default_rng(0)
    shares = count_copies(setting.model)
    means = stats.norm.ppf(areas) * np.hypot(1, setting.spread)
    told = []
    for _ in range(simulations):
        groups = _draw_groups(generator, shares)
        mine, rival = _draw_two(generator, means, groups, setting)
        found = estimate_difference(*mine, *rival, groups, resamples=RESAMPLES)
        told.append(_judge_difference(found, areas[0] - areas[1]))
    return Pair(*np.mean(told, axis=0).tolist())


def simulate_found_pair(setting: Setting, found: tuple[float, float], *, simulations: int) -> Pair:
    """Simulate the shares of copies that two such detectors find, each at its own threshold."""
    generator = np.random.default_rng(0)
    shares = count_copies(setting.model)
    means = stats.norm.isf(0.01) + stats.norm.ppf(found) * setting.spread
    told = []
    for _ in range(simulations):
        groups = _draw_groups(generator, shares)
        two = _draw_two(generator, means, groups, setting)
        thresholds = np.array([np.sort(negatives)[-1 - ALLOWED] for _, negatives in two])
        truths = stats.norm.sf((thresholds - means) / setting.spread)
        mine, rival = (copies > t for (copies, _), t in zip(two, thresholds, strict=True))
        estimate = estimate_found_difference(mine, rival, groups, resamples=RESAMPLES)
        told.append(_judge_difference(estimate, truths[0] - truths[1]))
    return Pair(*np.mean(told, axis=0).tolist())


def simulate_found(setting: Setting, share: float, *, simulations: int) -> Row:
    """Simulate shares of copies above a threshold set on the negatives, for one percent.

    `share` is the truth at the threshold of exactly one percent; what must be covered is the truth
    at the threshold that was set.
    """
    generator = np.random.default_rng(0)
    shares = count_copies(setting.model)
    mean = stats.norm.isf(0.01) + stats.norm.ppf(share) * setting.spread
    told = []
    for _ in range(simulations):
        groups = _draw_groups(generator, shares)
        shift = mean + setting.between * generator.standard_normal(len(shares))
        copies, negatives = _draw(generator, shift[groups], setting)
        threshold = np.sort(negatives)[-1 - ALLOWED]
        truth = stats.norm.sf((threshold - mean) / setting.spread)
        found = estimate_sensitivity(
            copies, groups, negatives, allowed_above=ALLOWED, resamples=RESAMPLES
        )
        plain = resample((copies > threshold)[:, None].astype(float), groups, generator)
        told.append(_judge(found, plain, groups, truth))
    return Row(*np.mean(told, axis=0).tolist())


def resample(
    kernel: np.ndarray, groups: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap of planted images and negatives."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sums = (place[:, None] == np.arange(len(counts))).T.astype(float) @ kernel
    images, others = (_count_draws(generator, size) for size in sums.shape)
    means = ((images @ sums) * others).sum(axis=1) / (images @ counts) / sums.shape[1]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _count_draws(generator: np.random.Generator, size: int) -> np.ndarray:
    """Count how often each of `size` things is drawn with replacement, one resample a row."""
    drawn = generator.integers(0, size, (RESAMPLES, size))
    places = drawn + size * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=RESAMPLES * size).reshape(RESAMPLES, size)


def _draw_groups(generator: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(shares)), generator.multinomial(NUM_COPIES, shares))


def _draw(
    generator: np.random.Generator, shifts: np.ndarray, setting: Setting
) -> tuple[np.ndarray, np.ndarray]:
    noise = setting.within * generator.standard_normal(len(shifts))
    return shifts + noise, generator.standard_normal(NUM_NEGATIVES)


def _draw_two(
    generator: np.random.Generator, means: np.ndarray, groups: np.ndarray, setting: Setting
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw copies and negatives of two detectors; an image hard to one is hard to the other."""
    one, two = generator.standard_normal((2, groups.max() + 1))
    shifts = (one, SHARED * one + np.sqrt(1 - SHARED**2) * two)
    return [
        _draw(generator, (mean + setting.between * shift)[groups], setting)
        for mean, shift in zip(means, shifts, strict=True)
    ]


def _judge_difference(found: dict, truth: float) -> tuple[bool, bool, bool, float]:
    low, high = found["low"], found["high"]
    return low <= truth <= high, low > truth, low > 0, high - low


def _judge(
    found: dict, plain: tuple[float, float], groups: np.ndarray, truth: float
) -> tuple[int, bool, float, bool]:
    low, high = found["low"], found["high"]
    images = len(np.unique(groups))
    return images, low <= truth <= high, high - low, plain[0] <= truth <= plain[1]


def main() -> None:
    """Print the page."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(HEAD.format(simulations=simulations, page=Path(__file__).name))
    print(AREA_HEAD)
    for setting, area in product(SETTINGS, AREAS):
        print(_write(setting, area, simulate_area(setting, area, simulations=simulations)))
    print(FOUND_HEAD)
    for setting, share in product(SETTINGS, SHARES):
        print(_write(setting, share, simulate_found(setting, share, simulations=simulations)))
    print(PAIR_HEAD)
    for setting, areas in product(SETTINGS, PAIRS):
        print(_write_pair(setting, areas, simulate_pair(setting, areas, simulations=simulations)))
    print(FOUND_PAIR_HEAD)
    for setting, found in product(SETTINGS, FOUND_PAIRS):
        pair = simulate_found_pair(setting, found, simulations=simulations)
        print(_write_pair(setting, found, pair))
    print(f"\n{describe_machine()}.")


def _write(setting: Setting, truth: float, row: Row) -> str:
    return (
        f"| {setting.model} | {setting.between} / {setting.within} | {truth} | {row.images:.1f} "
        f"| {row.covers:.1%} | {row.width:.3f} | {row.percentile:.1%} |"
    )


def _write_pair(setting: Setting, areas: tuple[float, float], row: Pair) -> str:
    return (
        f"| {setting.model} | {setting.between} / {setting.within} | {areas[0]}, {areas[1]} "
        f"| {row.covers:.1%} | {row.width:.3f} | {row.too_high:.1%} | {row.above_zero:.1%} |"
    )


HEAD = """# What the intervals are worth

`python benchmarks/{page} {simulations}`: simulated benches, {simulations} a row, with the group counts of the
zoo and a truth that is known. *Covers* is the interval of demo, bench and sweep: the Bayesian bootstrap over
planted images and negatives with one planted image more, which nobody saw (`bench/interval.py`). *Percentile*
is the grouped percentile bootstrap, for comparison. Nominal: 95 %; too wide is allowed. *Spreads*: of planted
images, of copies of one image, in standard deviations of the negatives. 55 copies, 300 negatives."""
AREA_HEAD = """
## Areas under the ROC curve

| counts of | spreads | AUROC | planted images | covers | mean width | percentile |
|---|---|---|---|---|---|---|"""
FOUND_HEAD = """
## Shares of copies found

At a threshold that the negatives set for one percent. The truth to be covered is that at the threshold which was set.

| counts of | spreads | share at exactly 1 % | planted images | covers | mean width | percentile |
|---|---|---|---|---|---|---|"""
PAIR_HEAD = """
## Differences of two areas

What a difference decides is its sign, so the end towards zero must hold: *too high* is how often the lower end lies
above the truth (2.5 % are allowed), *above zero* how often the better detector is found better, or one of two equal ones
is. The far end falls short where images differ much: *how much* worse the worse detector is can be
more than the interval says. An added image with the largest difference of all, against and in favour, is wider (100 % with equal areas) and
finds the better one hardly ever; no rule of this kind knows of images on which the better one fails when none
like them was seen.

| counts of | spreads | AUROC of both | covers | mean width | too high | above zero |
|---|---|---|---|---|---|---|"""
FOUND_PAIR_HEAD = """
## Differences of two shares of copies found

Each detector has its own threshold, set for one percent; the truth is that at both thresholds.

| counts of | spreads | shares of both | covers | mean width | too high | above zero |
|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    main()
