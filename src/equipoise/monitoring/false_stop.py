"""How often the stop rule would have stopped a training whose images are exchangeable.

The signals of a whole training are saved, one row an image and check. Training images that were
not planted and images held out are exchangeable as far as anybody knows; calling others of them
"training", the same ones at every check, makes a training under the null hypothesis.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from equipoise.bench.interval import Estimate, exact_rate
from equipoise.monitoring.probe import Evidence
from equipoise.monitoring.split import StopRule, combine_signals
from equipoise.runs import Run, read_part

RELABELLINGS = 1000
MULTIPLE = 20
"""All trainings are compared with the same sums under the null, which are drawn generously."""


def read_evidence(run: Run) -> tuple[list[Evidence], pa.Table]:
    """Read what every check of a monitor saw, and who the images are (the last table)."""
    parts = [read_part(part) for part in sorted((run.path / "monitor").glob("*.parquet"))]
    seen = [Evidence(part["spikiness"].to_numpy(), part["residual"].to_numpy()) for part in parts]
    return seen, parts[-1]


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
        seen: What every check saw.
        is_training: Which images the model was trained on.
        exchangeable: Which images take part: no planted one.
        false_stops: The promised rate; each check spends an equal part of it.
        relabellings: Trainings under the null hypothesis.
        seed: Seed of the relabelling.
    """
    labels = is_training[exchangeable]
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(labels, (relabellings, 1)), axis=1)
    rule = StopRule(false_stops, len(seen), multiple=MULTIPLE)
    stopped = np.zeros(relabellings, dtype=bool)
    for evidence in seen:
        rest = Evidence(evidence.spikiness[exchangeable], evidence.residual[exchangeable])
        stopped |= rule.p_values(combine_signals(rest), drawn) <= rule.level
    return exact_rate(int(stopped.sum()), relabellings)
