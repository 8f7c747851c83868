"""The rows of a check: one an image, as its Parquet file holds them."""

from collections.abc import Iterator

import pyarrow as pa

from equipoise.monitoring.check import Check
from equipoise.monitoring.probe import Evidence, Probe
from equipoise.monitoring.split import Naming
from equipoise.runs import Run, read_part


def build_rows(probe: Probe, evidence: Evidence, naming: Naming | None, check: Check) -> pa.Table:
    """Lay a check out image by image; only training images are tested and named."""
    first, count = len(probe.indices), len(probe.pictures)
    untested = [None] * (count if naming is None else count - first)
    columns = ([], [], []) if naming is None else (
        naming.p_values.tolist(), naming.q_values.tolist(), naming.named.tolist()
    )  # fmt: skip
    side = "generated" if naming is None else "training"
    onsets = [check.onsets.get(int(index)) for index in probe.indices]
    return pa.table(
        {
            "step": pa.array([check.step] * count, pa.int64()),
            "side": [side] * first + ["held_out"] * (count - first),
            "index": pa.array(probe.indices.tolist() + [None] * (count - first), pa.int64()),
            "spikiness": evidence.spikiness,
            "residual": evidence.residual,
            "p_value": pa.array([*columns[0], *untested], pa.float64()),
            "q_value": pa.array([*columns[1], *untested], pa.float64()),
            "named": pa.array([*columns[2], *untested], pa.bool_()),
            "onset": pa.array([*onsets, *[None] * (count - first)], pa.int64()),
        }
    )


def read_evidence(run: Run) -> Iterator[Evidence]:
    """Read what every check saw, in the order of the steps.

    Raises:
        RunError: when the file of a check is damaged.
    """
    for part in run.list_checks():
        table = read_part(part, ["spikiness", "residual"])
        yield Evidence(table["spikiness"].to_numpy(), table["residual"].to_numpy())
