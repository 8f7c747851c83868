"""Is there a better statistic than the paper's? Chosen on one split, opened once on another.

    python benchmarks/better.py edm-fashion:edm-fashion-b dit-fashion > docs/better.md

Candidates are whitened spikiness, with and without the denoising residual: pooling, noise level and
number of principal axes are chosen on copies of the selection half. On the report half each is
compared with every rival: over all copies, and on the rows named as hard beforehand (copies of kind
near, copies of the lower multiplicity). Behind a colon stands another training of the recipe, with
other planted images, on which the choice is confirmed: nothing is chosen there but the sign.
"""

import sys
from itertools import product

import numpy as np

from equipoise.bench.contest import Outcome, run_contest
from equipoise.bench.entry import Entry, list_entries, select_entries
from equipoise.bench.fit import list_sigmas
from equipoise.bench.interval import estimate_difference
from equipoise.bench.outputs import generate_outputs
from equipoise.bench.parts import load_parts
from equipoise.bench.stage import Stage, build_stage
from equipoise.detection.whitening import WhitenedSpikiness, fit_whitened
from equipoise.images import as_unit
from equipoise.representation import select_sites
from equipoise.zoo.package import ZooModel

SEED, NUM_SAMPLES, NUM_REFERENCE, DRAWS = 0, 1000, 800, 2
AXES = (16, 64)
RIVALS = ("spikiness", "paper_statistic", "intrinsic_dimension", "denoising_residual")


class Workshop:
    """Fits candidates on novel outputs of a stream that no split uses."""

    def __init__(self, model: ZooModel) -> None:
        outputs = generate_outputs(model, NUM_REFERENCE, seed=SEED, stream="better-reference")
        rows = np.flatnonzero(outputs.novel)
        self.denoiser = model.denoiser
        self.images = as_unit(outputs.pictures[rows])
        self.ids = [outputs.ids[row] for row in rows]

    def fit(self, *, sigma, pooling, num_axes, with_residual) -> WhitenedSpikiness:
        """Fit one candidate at the model's default sites together."""
        return fit_whitened(
            self.denoiser, self.images, self.ids,
            sites=select_sites(self.denoiser, self.denoiser.default_sites),
            sigma=sigma, pooling=pooling, num_axes=num_axes, with_residual=with_residual,
            draws=DRAWS,
        )  # fmt: skip

    def list_entries(self) -> list[Entry]:
        """List every candidate, with and without the residual."""
        grid = list(product(list_sigmas(self.denoiser), ("max", "mean"), AXES))
        groups = [
            [
                self.fit(sigma=s, pooling=p, num_axes=k, with_residual=with_residual)
                for s, p, k in grid
            ]
            for with_residual in (False, True)
        ]
        return [Entry(group[0].card.name, tuple(group)) for group in groups]

    def repeat(self, chosen: WhitenedSpikiness) -> Entry:
        """Fit what was chosen elsewhere anew."""
        one = self.fit(
            sigma=self.denoiser.snap(chosen.sigma), pooling=chosen.pooling,
            num_axes=len(chosen.whitening.axes), with_residual=chosen.residual is not None,
        )  # fmt: skip
        return Entry(one.card.name, (one,))


def measure(name: str, chosen: list[WhitenedSpikiness]) -> list[WhitenedSpikiness]:
    """Print the section of a model; return what was chosen (or taken over)."""
    parts = load_parts(name)
    model = parts.model
    stage = build_stage(model, seed=SEED, num_samples=NUM_SAMPLES)
    workshop = Workshop(model)
    ours = [workshop.repeat(one) for one in chosen] or workshop.list_entries()
    rivals = select_entries(list_entries(parts), RIVALS)
    outcomes = {
        entry.name: run_contest(entry, stage, model.denoiser, None) for entry in (*ours, *rivals)
    }
    report = stage.report.planted
    print(f"\n## zoo:{name}\n")
    print(
        f"{'Taken over' if chosen else 'Chosen'}: "
        + "; ".join(_describe(outcomes[entry.name]) for entry in ours)
        + f". Fitted on {len(workshop.ids)} novel outputs. Reported on {(report >= 0).sum()} copies "
        f"of {len(set(report[report >= 0]))} planted images and {(report < 0).sum()} novel outputs.\n"
    )
    print("| ours | minus | all copies | near | lower multiplicity |")
    print("|---|---|---|---|---|")
    masks = _list_rows(model, report)
    for entry, rival in product(ours, rivals):
        cells = [
            _show(_compare(outcomes[entry.name], outcomes[rival.name], stage, mask))
            for mask in masks
        ]
        print(f"| {entry.name} | {rival.name} | " + " | ".join(cells) + " |", flush=True)
    return [outcomes[entry.name].detector for entry in ours]


def _list_rows(model: ZooModel, planted: np.ndarray) -> list[np.ndarray]:
    """Mark the items of each row: its copies and every novel output."""
    images = model.planted
    lower = min(item.multiplicity for item in images.values())
    near = np.array([p < 0 or images[p].kind == "near" for p in planted.tolist()])
    rare = np.array([p < 0 or images[p].multiplicity == lower for p in planted.tolist()])
    return [np.ones(len(planted), dtype=bool), near, rare]


def _compare(mine: Outcome, rival: Outcome, stage: Stage, mask: np.ndarray) -> dict:
    both = np.intersect1d(mine.rows, rival.rows)
    rows = both[mask[both]]
    copy = stage.report.planted[rows] >= 0
    a, b = (one.scores[[one.rows.tolist().index(row) for row in rows]] for one in (mine, rival))
    groups = stage.report.planted[rows][copy]
    return estimate_difference(a[copy], a[~copy], b[copy], b[~copy], groups)


def _describe(outcome: Outcome) -> str:
    one = outcome.detector
    return (
        f"`{one.card.name}` pools by {one.pooling} at sigma {one.sigma:.3g} with "
        f"{len(one.whitening.axes)} axes (AUROC {outcome.chosen_auroc:.3f} on the selection half)"
    )


def _show(rate: dict) -> str:
    if rate["low"] is None:
        return f"- (n = {rate['groups']})"
    mark = "**" if rate["low"] > 0 or rate["high"] < 0 else ""
    return f"{mark}{rate['value']:+.3f} ({rate['low']:+.3f} to {rate['high']:+.3f}){mark}"


def main(names: list[str]) -> None:
    """Print the page."""
    print("# A better statistic?\n")
    print(
        f"`python benchmarks/better.py {' '.join(names)}`. AUROC of a candidate of ours minus that "
        "of a rival on the same items of the report split, with 95 % intervals over planted images "
        "([coverage](coverage.md)); bold: beyond chance."
    )
    for name in names:
        first, _, second = name.partition(":")
        chosen = measure(first, [])
        if second:
            measure(second, chosen)


if __name__ == "__main__":
    main(sys.argv[1:])
