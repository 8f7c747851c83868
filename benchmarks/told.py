"""What a prompt is worth: spikiness of a model that is told it against one that is told nothing.

    .venv/bin/python benchmarks/told.py > docs/told.md

Outputs of `zoo:sd-emoji` whose prompts are known. Noise level and statistic are chosen on copies
of the selection half of the planted images, for either way of asking, and reported on the other
half and fresh outputs. Units are scaled by novel outputs, asked in the same way. Controls: the
clean twin; whether a planted caption alone makes a score high, by the novel outputs of planted
captions and by planted captions rendered again; training images that were shown once.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from machine import describe_machine

from equipoise.bench.control import RENDERED_AGAIN, render_again
from equipoise.bench.interval import estimate_auroc, estimate_sensitivity
from equipoise.bench.stage import Items, Stage, build_stage
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    UnitScale,
    join_units,
    load_calibration,
    weighted_auroc,
)
from equipoise.detection.draws import Noisy, score_draws
from equipoise.images import as_unit, content_ids
from equipoise.representation import Statistic, measure, observe
from equipoise.zoo.package import MODELS, ZooModel, load_zoo
from equipoise.zoo.scene_set import SceneSet

MODEL, TWIN = "sd-emoji", "sd-emoji-clean"
SEED, SAMPLES, DRAWS = 7, 1500, 4
SHARES = (0.4, 0.8, 1.6, 3.2, 8.0)  # of the standard deviation of the data
STATISTICS: tuple[Statistic, ...] = ("std", "l2", "hoyer")
PROMISED = 0.01


@dataclass(frozen=True)
class Way:
    """How a model is asked, and what is made of its answer."""

    told: bool
    sigma: float
    statistic: Statistic

    def __str__(self) -> str:
        told = "the prompt" if self.told else "nothing"
        return f"told {told}, sigma {self.sigma:.3g}, {self.statistic}"


class Room:
    """One model, its sites, and what it showed of items, so that no item is looked at twice."""

    def __init__(self, denoiser: Denoiser, sites: Sequence[str], known: Items) -> None:
        self.denoiser, self.sites, self.known = denoiser, tuple(sites), known
        self._seen: dict[tuple[int, bool, float], torch.Tensor] = {}

    def look(self, items: Items, way: Way) -> torch.Tensor:
        """Return the units of every item and draw."""
        key = (id(items), way.told, way.sigma)
        if key not in self._seen:

            def observe_noisy(noisy: Noisy) -> torch.Tensor:
                cond = noisy.cond if way.told else None
                seen = observe(self.denoiser, noisy.x, noisy.sigma, self.sites, cond=cond)
                return join_units([seen[site].tensor for site in self.sites])

            self._seen[key] = score_draws(
                self.denoiser, as_unit(items.pictures), items.ids, observe_noisy,
                sigma=way.sigma, draws=DRAWS, seed=0, conditions=items.conditions,
            )  # fmt: skip
        return self._seen[key]

    def fit_scale(self, way: Way) -> UnitScale:
        """Measure the spread of the units over novel outputs."""
        units = self.look(self.known, way)
        return UnitScale.fit(units.flatten(0, 1))

    def score(self, items: Items, way: Way) -> np.ndarray:
        """Score items: the mean over draws."""
        scale, units = self.fit_scale(way), self.look(items, way)
        columns = [measure(scale.apply(units[:, k]), way.statistic) for k in range(units.shape[1])]
        return torch.stack(columns).mean(dim=0).numpy()


def choose(room: Room, stage: Stage, *, told: bool) -> tuple[Way, float]:
    """Choose noise level and statistic on the selection half."""
    planted = torch.from_numpy(stage.choose.planted)
    found = {}
    for share, statistic in itertools.product(SHARES, STATISTICS):
        way = Way(told, room.denoiser.snap(share * room.denoiser.data_std), statistic)
        found[way] = weighted_auroc(torch.from_numpy(room.score(stage.choose, way)), planted)
    return max(found.items(), key=lambda pair: pair[1])


def build_again(model: ZooModel, known: SceneSet) -> Items:
    """Render the planted captions of the report half again, with other nuisances."""
    report = [index for index in model.planted if model.split_of(index) == "report"]
    pictures, groups = render_again(known, report)
    asked = [one for one, index in known.list_planted_captions().items() if index in report]
    prompts = asked * RENDERED_AGAIN
    conditions = model.encode_prompts(prompts)
    return Items(pictures, content_ids(pictures), conditions, np.array(groups), prompts)


def split(items: Items, rows: np.ndarray) -> tuple[Items, Items]:
    """Part items in those marked and the others."""
    return items.pick(np.flatnonzero(rows)), items.pick(np.flatnonzero(~rows))


def show(rate: dict) -> str:
    """Write a rate with its interval."""
    if rate["low"] is None:
        return f"{rate['value']:.3f}"
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def count(hits: np.ndarray) -> str:
    """Write how many of how many."""
    return f"{int(hits.sum())} of {len(hits)}"


@dataclass(frozen=True)
class Cast:
    """The items of the report, by what they are."""

    copies: Items
    novel: Items
    asked: Items
    """Novel outputs, of both streams, that a planted caption was asked for."""
    limit: Items
    """Novel outputs that set the threshold."""
    arms: dict[str, Items]

    def report(self, room: Room, twin: Room, way: Way) -> dict[str, str]:
        """Measure everything that is reported of one way."""
        novel = room.score(self.novel, way)
        ranked, groups = room.score(self.copies, way), self.copies.planted
        limit = room.score(self.limit, way)
        allowed = int(PROMISED * (len(limit) + 1)) - 1
        threshold = np.sort(limit)[len(limit) - 1 - allowed]
        found = estimate_sensitivity(ranked, groups, limit, allowed_above=allowed)
        asked, held_out = room.score(self.asked, way), room.score(self.arms["held_out"], way)
        again, once = (room.score(self.arms[name], way) for name in ("again", "training"))
        rows = np.arange(len(once))
        by_twin = estimate_auroc(twin.score(self.copies, way), groups, twin.score(self.novel, way))
        return {
            "copies against novel outputs": show(estimate_auroc(ranked, groups, novel)),
            "copies found at 1 %": show(found),
            "novel outputs above the threshold": count(novel > threshold),
            "the same by the clean twin": show(by_twin),
            "copies against novel outputs of planted captions": show(
                estimate_auroc(ranked, groups, asked)
            ),
            "of these above the threshold": count(asked > threshold),
            "planted captions rendered again against held-out scenes": show(
                estimate_auroc(again, self.arms["again"].planted, held_out)
            ),
            "training scenes shown once against held-out ones": show(
                estimate_auroc(once, rows, held_out)
            ),
        }


def main() -> None:
    """Choose on one half, report on the other, and print the page."""
    model, twin = load_zoo(MODEL), load_zoo(TWIN)
    assert isinstance(model.training_set, SceneSet)
    stage = build_stage(model, seed=SEED, num_samples=SAMPLES)
    first = np.arange(len(stage.calibrate)) < len(stage.calibrate) // 2
    known, limit = split(stage.calibrate, first)
    copies, novel = split(stage.report, stage.report.planted >= 0)
    planted = set(model.training_set.list_planted_captions())
    asked, novel = split(novel, np.array([one in planted for one in novel.prompts or ()]))
    arms = {**stage.arms, "again": build_again(model, model.training_set)}
    cast = Cast(copies, novel, asked, limit, arms)
    sites = load_calibration(MODELS / MODEL / "calibration.json").detector.sites
    rooms = [Room(one.denoiser, sites, known) for one in (model, twin)]
    ways = [choose(rooms[0], stage, told=told) for told in (False, True)]
    figures = [cast.report(*rooms, way) for way, _ in ways]
    print("# What a prompt is worth\n")
    print(
        f"`python benchmarks/told.py`: spikiness of `zoo:{MODEL}`, told nothing as the paper "
        "does, and told the prompt that each output was asked for "
        "([ConditionedSpikiness](detectors/conditioned-spikiness.md)). Noise level "
        f"and statistic chosen on {int((stage.choose.planted >= 0).sum())} copies of the "
        f"selection half, among {len(SHARES) * len(STATISTICS)} each; reported on {len(copies)} "
        f"copies of {len(set(copies.planted))} planted images of the other half and {len(novel)} "
        f"novel outputs of other captions. {len(known)} novel outputs scale the units, "
        f"{len(limit)} set the threshold; {DRAWS} draws. 95 % intervals allow for a planted image "
        "nobody saw.\n"
    )
    print(f"{describe_machine()}.\n")
    print("|  | " + " | ".join(str(way) for way, _ in ways) + " |\n|---|---|---|")
    print(
        "| AUROC on the selection half | " + " | ".join(f"{area:.3f}" for _, area in ways) + " |"
    )
    for row in figures[0]:
        print(f"| {row} | " + " | ".join(column[row] for column in figures) + " |")


if __name__ == "__main__":
    main()
