"""How often the stop rule would have stopped a training whose images are exchangeable.

The signals of a whole training are saved, one row an image and check. Training images that were
not planted and images held out are exchangeable as far as anybody knows; calling others of them
"training", the same ones at every check, makes a training under the null hypothesis.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from equipoise.bench.interval import Estimate, exact_rate
from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import weigh_images
from equipoise.monitoring.stop_rule import EACH, Course, StopRule

RELABELLINGS = 1000
POOL = 100_000
"""Courses that all trainings are compared with, at least: what they share makes no error then."""


def measure_false_stops(
    seen: Sequence[Evidence],
    is_training: Bool[np.ndarray, " case"],
    exchangeable: Bool[np.ndarray, " case"],
    *,
    false_stops: float,
    relabellings: int = RELABELLINGS,
    seed: int = 1,
) -> Estimate:
    """Relabel the exchangeable images over all checks and count the trainings that are stopped.

    Args:
        seen: What every check saw; the rule has as many checks.
        is_training: Which images the model was trained on.
        exchangeable: Which images take part: no planted one.
        false_stops: The promised rate.
        relabellings: Trainings under the null hypothesis.
        seed: Seed of the relabelling.
    """
    labels = is_training[exchangeable]
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(labels, (relabellings, 1)), axis=1)
    each = max(EACH, math.ceil(POOL * false_stops / len(seen)))
    course = Course(StopRule(false_stops, len(seen), each=each), labels)
    stopped = np.zeros(relabellings, dtype=bool)
    rest = [Evidence(e.spikiness[exchangeable], e.residual[exchangeable]) for e in seen]
    for check in range(1, len(rest) + 1):
        weights = weigh_images(rest[:check])
        ruling = course.look(weights)
        stopped |= ruling.find_p_values(drawn @ weights) <= ruling.level
    return exact_rate(int(stopped.sum()), relabellings)
