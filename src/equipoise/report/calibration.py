"""The calibration scores of a run, which its histogram shows beside the items."""

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError

from equipoise.errors import RunError
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
    try:
        scores = run.read_tensors("calibration")["scores"].ravel()
    except (OSError, KeyError, SafetensorError) as error:
        raise RunError(
            f'The calibration of "{run.path}" cannot be read: tensors/calibration.safetensors '
            'must hold "scores". Copy the whole folder again, or repeat the run.'
        ) from error
    return scores[np.isfinite(scores)]
