"""What a prompt is worth: spikiness of a model that is told it against one that is told nothing.

    .venv/bin/python benchmarks/told.py > docs/told.md

Outputs of `zoo:sd-emoji` whose prompts are known. Noise level, scale and statistic are chosen on
copies of the selection half of the planted images, against novel outputs and planted captions of
that half rendered again, for either way of asking, among what `bench/fit_told.py` tries for the
shipped detector; and reported on the other half and fresh outputs. Units are scaled by novel
outputs, asked in the same way. Controls: the clean twin; whether a planted caption alone makes a
score high, by the novel outputs of planted captions and by planted captions rendered again;
prompts in other words than the training's; training images shown once. Beside it what the
prompt changes of the error: the residual gain, and the difference of squared errors of Zhai et
al. (2024, arXiv 2405.14800) at one noise level.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from machine import describe_machine

from equipoise.bench.control import render_again
from equipoise.bench.fit_told import TOLD_SHARES, list_readings
from equipoise.bench.interval import estimate_auroc, estimate_sensitivity
from equipoise.bench.outputs import decode_samples
from equipoise.bench.stage import Items, Stage, build_stage
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    DEFAULT_DRAWS,
    Noisy,
    Spikiness,
    Whitening,
    score_draws,
    weighted_auroc,
)
from equipoise.detection.start import ask_twice, norm_of
from equipoise.images import as_unit, content_ids
from equipoise.representation import select_sites
from equipoise.zoo.package import ZooModel, load_zoo
from equipoise.zoo.scene_set import SceneSet

MODEL, TWIN = "sd-emoji", "sd-emoji-clean"
SEED, SAMPLES = 7, 1500
PROMISED = 0.01
OTHER_WORDING, TIMES = "a photo of a {}", 6
Told = Literal["empty", "own"]
HALVES = ("selection", "report")


@dataclass(frozen=True)
class ErrorWay:
    """What a prompt changes of the denoising error at a noise level."""

    sigma: float
    ratio: bool
    """The logarithm of the ratio of both errors, or the difference of their squares."""

    condition = "own"


Way = Spikiness | ErrorWay


def describe(detector: Way) -> str:
    """Say how a model is asked, and what is made of its answer."""
    if isinstance(detector, ErrorWay):
        name = "residual gain" if detector.ratio else "difference of squared errors"
        return f"{name}, sigma {detector.sigma:.3g}"
    told = "the prompt" if detector.condition == "own" else "nothing"
    scale = detector.scale
    units = f"whitened, {len(scale.axes)} axes" if isinstance(scale, Whitening) else "scaled"
    return f"told {told}, sigma {detector.sigma:.3g}, {detector.statistic}, {units}"


class Room:
    """One model, and what it showed of items, so that no item is looked at twice."""

    def __init__(self, denoiser: Denoiser, known: Items) -> None:
        self.denoiser, self.known = denoiser, known
        self._seen: dict[tuple[int, str, Told, float], torch.Tensor] = {}

    def look(self, items: Items, detector: Way) -> torch.Tensor:
        """Return the units of every item and draw, or the error told nothing and told."""
        key = (id(items), type(detector).__name__, detector.condition, detector.sigma)
        if key not in self._seen:
            images = as_unit(items.pictures)
            if isinstance(detector, ErrorWay):
                self._seen[key] = score_draws(
                    self.denoiser, images, items.ids, self._measure_errors,
                    sigma=detector.sigma, draws=DEFAULT_DRAWS, seed=0, conditions=items.conditions,
                )  # fmt: skip
            else:
                self._seen[key] = detector.observe_units(
                    self.denoiser, images, items.ids, conditions=items.conditions
                )
        return self._seen[key]

    def _measure_errors(self, noisy: Noisy) -> torch.Tensor:
        both = ask_twice(self.denoiser, noisy.x, noisy.sigma, noisy.cond)
        errors = [norm_of(x0_hat - noisy.x0) for x0_hat in (both.without, both.with_condition)]
        return torch.stack(errors, dim=1)

    def list_error_ways(self, *, ratio: bool) -> Iterator[ErrorWay]:
        """List the noise levels at which errors are compared."""
        for share in TOLD_SHARES:
            yield ErrorWay(self.denoiser.snap(share * self.denoiser.data_std), ratio)

    def list_detectors(self, told: Told) -> Iterator[Spikiness]:
        """List everything that is tried, scaled by what this model shows of novel outputs."""
        sites = select_sites(self.denoiser, self.denoiser.default_sites)
        for share in TOLD_SHARES:
            sigma = self.denoiser.snap(share * self.denoiser.data_std)
            base = Spikiness(sites=sites, sigma=sigma, condition=told)
            yield from list_readings(base, self.look(self.known, base).flatten(0, 1))

    def fit(self, detector: Way) -> Way:
        """Return a detector with its scale measured on this model."""
        if isinstance(detector, ErrorWay):
            return detector
        assert detector.scale is not None
        units = self.look(self.known, detector).flatten(0, 1)
        return detector.model_copy(update={"scale": detector.scale.refit(units)})

    def score(self, items: Items, detector: Way) -> np.ndarray:
        """Score items: the mean over draws."""
        units = self.look(items, detector)
        if isinstance(detector, ErrorWay):
            errors = units.log() if detector.ratio else units.square()
            return (errors[..., 0] - errors[..., 1]).mean(dim=1).numpy()
        scores = detector.measure_units(units.flatten(0, 1)).reshape(units.shape[:2])
        return scores.mean(dim=1).numpy()


def choose(
    room: Room, stage: Stage, control: Items, tried: Iterable[Way]
) -> tuple[Way, float, int]:
    """Choose on the selection half; return the detector, its AUROC and among how many."""
    planted = np.concatenate([stage.choose.planted, np.full(len(control), -1)])
    found = []
    for one in tried:
        scores = np.concatenate([room.score(part, one) for part in (stage.choose, control)])
        area = weighted_auroc(torch.from_numpy(scores), torch.from_numpy(planted))
        found.append((area, one))
    area, detector = max(found, key=lambda pair: pair[0])
    return detector, area, len(found)


def build_other(model: ZooModel) -> Items:
    """Draw outputs for prompts in other words than the training's, and keep the novel ones."""
    nouns = sorted({scene.attributes.noun for scene in model.training_set.scenes})
    prompts = [OTHER_WORDING.format(noun) for noun in nouns] * TIMES
    ids = [f"other/{row}" for row in range(len(prompts))]
    conditions = model.encode_prompts(prompts)
    samples = model.recipe.sampler.sample(model.denoiser, ids, seed=SEED, conditions=conditions)
    pictures = decode_samples(model.denoiser, samples, len(ids))
    novel = np.flatnonzero(np.array(model.label(pictures).names()) == "novel")
    every = Items(pictures, content_ids(pictures), conditions, np.full(len(ids), -1), prompts)
    return every.pick(novel)


def build_again(model: ZooModel, known: SceneSet, half: str) -> Items:
    """Render the planted captions of a half again, with other nuisances."""
    wanted = [index for index in model.planted if model.split_of(index) == half]
    pictures, groups, prompts = render_again(known, wanted)
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
        own = twin.fit(way)
        by_twin = estimate_auroc(twin.score(self.copies, own), groups, twin.score(self.novel, own))
        return {
            "copies against novel outputs": show(estimate_auroc(ranked, groups, novel)),
            "copies found at 1 %": show(found),
            "novel outputs above the threshold": count(novel > threshold),
            "the same by the clean twin": show(by_twin),
            "copies against novel outputs of planted captions": show(
                estimate_auroc(ranked, groups, asked)
            ),
            "novel outputs of planted captions above the threshold": count(asked > threshold),
            "copies against planted captions rendered again": show(
                estimate_auroc(ranked, groups, again)
            ),
            "planted captions rendered again, above the threshold": count(again > threshold),
            "planted captions rendered again against held-out scenes": show(
                estimate_auroc(again, self.arms["again"].planted, held_out)
            ),
            "novel outputs of prompts in other words, above the threshold": count(
                room.score(self.arms["other"], way) > threshold
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
    again = {half: build_again(model, model.training_set, half) for half in HALVES}
    arms = {**stage.arms, "again": again["report"], "other": build_other(model)}
    cast = Cast(copies, novel, asked, limit, arms)
    rooms = [Room(one.denoiser, known) for one in (model, twin)]
    room = rooms[0]
    tried: list[Iterable[Way]] = [
        room.list_detectors("empty"), room.list_detectors("own"),
        room.list_error_ways(ratio=True), room.list_error_ways(ratio=False),
    ]  # fmt: skip
    chosen = [choose(room, stage, again["selection"], one) for one in tried]
    figures = [cast.report(*rooms, detector) for detector, _, _ in chosen]
    print("# What a prompt is worth\n")
    print(
        f"`python benchmarks/told.py`: spikiness of `zoo:{MODEL}`, told nothing as the paper "
        "does, and told the prompt that each output was asked for "
        '(`condition="own"` of [Spikiness](detectors/spikiness.md)); beside it what the prompt '
        "changes of the denoising error, by two whole forwards a draw: the logarithm of a ratio "
        "([ResidualGain](detectors/residual-gain.md)), and the difference of squares of Zhai et "
        "al. ([2405.14800](https://arxiv.org/abs/2405.14800)) at one noise level. Noise level, "
        f"scale and statistic chosen on {int((stage.choose.planted >= 0).sum())} copies of the "
        "selection half, against novel outputs and planted captions of that half rendered again, "
        f"among {', '.join(str(count) for _, _, count in chosen)}; reported on "
        f"{len(copies)} "
        f"copies of {len(set(copies.planted))} planted images of the other half and {len(novel)} "
        f"novel outputs of other captions. {len(known)} novel outputs scale the units, "
        f"{len(limit)} set the threshold; {DEFAULT_DRAWS} draws. Other words: "
        f"\u201c{OTHER_WORDING.format('dog')}\u201d and so on. 95 % intervals allow for a "
        "planted image nobody saw ([coverage](coverage.md)).\n"
    )
    print(f"{describe_machine()}.\n")
    print(
        "|  | "
        + " | ".join(describe(one) for one, _, _ in chosen)
        + " |\n"
        + "|---" * (1 + len(chosen))
        + "|"
    )
    print(
        "| AUROC on the selection half | "
        + " | ".join(f"{area:.3f}" for _, area, _ in chosen)
        + " |"
    )
    for row in figures[0]:
        print(f"| {row} | " + " | ".join(column[row] for column in figures) + " |")


if __name__ == "__main__":
    main()
