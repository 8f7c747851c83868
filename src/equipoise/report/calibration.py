"""The calibration scores of a run, which its histogram shows beside the items."""

import numpy as np
from jaxtyping import Float

from equipoise.report.boundary import tell_damage
from equipoise.report.rate import get_mapping
from equipoise.runs import Run


def load_calibration_scores(run: Run) -> Float[np.ndarray, " sample"]:
    """Read the calibration scores that are finite; none where the record has no calibration.

    Raises:
        RunError: when the record has one but its scores are missing or damaged.
    """
    needed = bool(get_mapping(run.record.results.get("calibration")))
    if not needed and not (run.path / "tensors" / "calibration.safetensors").exists():
        return np.empty(0)
    with tell_damage(run, "calibration", 'calibration.safetensors must hold "scores"'):
        scores = run.read_tensors("calibration")["scores"].ravel()
    return scores[np.isfinite(scores)]
