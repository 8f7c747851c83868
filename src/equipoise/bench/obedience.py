"""Do the outputs of a text-to-image model of the zoo show what they were asked for?

Every output is measured by the instruments of the scenes: its attributes against those of its
caption, its nuisances against those of training scenes. Obeying is no copying: no caption names a
nuisance, so an output that has those of a training scene has them from nowhere else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.bench.interval import Estimate, exact_rate
from equipoise.bench.outputs import LabelledOutputs
from equipoise.zoo.caption import read_caption
from equipoise.zoo.measurement import measure_scenes
from equipoise.zoo.package import ZooModel
from equipoise.zoo.prompt import draw_prompts
from equipoise.zoo.scene import Attributes, Scene
from equipoise.zoo.scene_copy import compare_nuisances, compare_scenes
from equipoise.zoo.scene_set import SceneSet

ATTRIBUTES = ("noun", "vendor", "colour", "size", "cell")


def measure_obedience(
    model: ZooModel, outputs: LabelledOutputs, *, seed: int
) -> dict[str, Any] | None:
    """Measure the outputs of a model on emoji scenes; None for any other model.

    Args:
        model: The model.
        outputs: Its outputs.
        seed: The seed they were drawn with.

    Returns:
        Rates with exact intervals: `unseen` and `seen`, the share of each attribute that is as
        asked, by whether the caption is one of a training row; `instrument`, the same of real
        held-out scenes; `nuisances`, copies by agreement with the nearest training picture, alone
        and together with the distance; `own_scene`, of the outputs asked for a scene that was not
        planted, those that have its nuisances (`copy`) and those that have others (`novel`).
    """
    known = model.training_set
    if not isinstance(known, SceneSet):
        return None
    asked = [read_caption(one) for one in draw_prompts(known, outputs.sources, seed=seed)]
    shown = [one.scene for one in measure_scenes(outputs.pictures)]
    real = [one.scene for one in measure_scenes(model.held_out)]
    unknown = {scene.attributes for scene in known.held_out}
    unseen = [pair for pair in zip(asked, shown, strict=True) if pair[0] in unknown]
    seen = [pair for pair in zip(asked, shown, strict=True) if pair[0] not in unknown]
    return {
        "unseen": rate_attributes(unseen),
        "seen": rate_attributes(seen),
        "instrument": rate_attributes(
            [(scene.attributes, one) for scene, one in zip(known.held_out, real, strict=True)]
        ),
        "nuisances": _count_agreeing(known, outputs, shown),
        "own_scene": _compare_with_own(known, seen),
    }


def rate_attributes(pairs: Sequence[tuple[Attributes, Scene]]) -> dict[str, Estimate]:
    """Return the share of pairs in which each attribute of the scene is the one asked for."""
    return {
        name: exact_rate(
            sum(getattr(asked, name) == getattr(scene.attributes, name) for asked, scene in pairs),
            len(pairs),
        )
        for name in ATTRIBUTES
        if pairs
    }


def _count_agreeing(
    known: SceneSet, outputs: LabelledOutputs, shown: Sequence[Scene]
) -> dict[str, Estimate]:
    names = compare_nuisances(shown, known.images[outputs.truth.picture]).names()
    agree = np.array(names) == "copy"
    both = agree & (outputs.labels == "copy")
    return {
        "copies": exact_rate(int(agree.sum()), len(agree)),
        "by_both_rules": exact_rate(int(both.sum()), len(agree)),
    }


def _compare_with_own(
    known: SceneSet, seen: Sequence[tuple[Attributes, Scene]]
) -> dict[str, Estimate]:
    """Compare with the scene of the caption, where that scene was shown once."""
    planted = {item.index for item in known.planted}
    owners = {
        scene.attributes: scene for k, scene in enumerate(known.originals) if k not in planted
    }
    pairs = [(scene, owners[asked]) for asked, scene in seen if asked in owners]
    if not pairs:
        return {}
    names = compare_scenes(*zip(*pairs, strict=True)).names()
    return {name: exact_rate(names.count(name), len(names)) for name in ("copy", "novel")}
