"""The share of copies among a model's outputs while it trains, and the saves worth keeping.

A training that memorizes goes through three states: nothing is copied yet, copying sets in, and
what is planted is copied as often as it ever will be. One save of each is kept.
"""

from dataclasses import replace
from typing import TypedDict

from equipoise.bench.outputs import count_labels, generate_outputs
from equipoise.zoo.network import ZooDenoiser
from equipoise.zoo.package import ZooModel

WATCHED_OUTPUTS = 256
NOTHING = 0.01
"""Share of copies up to which a model counts as one that does not copy yet."""


class Look(TypedDict):
    """What the outputs were at one step of a training."""

    step: int
    n: int
    copy: int
    grey: int
    novel: int


def look(model: ZooModel, average: ZooDenoiser, step: int) -> Look:
    """Draw some outputs of the averaged weights and label them; the noise is the same each time.

    Args:
        model: What is known about the training.
        average: The averaged weights at this step.
        step: The step.
    """
    now = replace(model, denoiser=average)
    outputs = generate_outputs(now, WATCHED_OUTPUTS, seed=model.recipe.seed, stream="watch")
    counts = count_labels(outputs, WATCHED_OUTPUTS)
    return Look(
        step=step, n=counts["n"], copy=counts["copy"], grey=counts["grey"], novel=counts["novel"]
    )


def choose_saves(looks: list[Look]) -> dict[str, int]:
    """Return the steps "before" and "at" the onset of copying; empty where nothing is copied.

    At the onset: the first look with at least half of the last look's share of copies. Before:
    the last look ahead of it with a share of at most `NOTHING`, or else the first look.
    """
    final = looks[-1]["copy"] / looks[-1]["n"]
    if final <= NOTHING:
        return {}
    onset = next(i for i, seen in enumerate(looks) if seen["copy"] / seen["n"] >= final / 2)
    quiet = [seen for seen in looks[:onset] if seen["copy"] / seen["n"] <= NOTHING]
    before = quiet[-1] if quiet else looks[0]
    return {"before": before["step"], "at": looks[onset]["step"]}
