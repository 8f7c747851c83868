import numpy as np
import pytest

from equipoise.errors import RunError
from equipoise.report.calibration import load_calibration_scores
from equipoise.runs import finish_run, start_run, write_tensors


@pytest.fixture
def run(tmp_path):
    return start_run(tmp_path / "run", kind="audit", spec={}, provenance={})


def test_finite_scores_are_read(run):
    write_tensors(run, "calibration", {"scores": np.array([1.0, np.nan, 2.0, np.inf])})
    finished = finish_run(run, results={"calibration": {"n": 4}}, cost={})
    assert load_calibration_scores(finished).tolist() == [1.0, 2.0]


def test_without_a_calibration_there_are_none(run):
    assert len(load_calibration_scores(finish_run(run, results={}, cost={}))) == 0


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_scores_that_are_missing_or_damaged_are_told(run, content):
    finished = finish_run(run, results={"calibration": {"n": 4}}, cost={})
    if content is not None:
        (run.path / "tensors").mkdir()
        (run.path / "tensors" / "calibration.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="must hold"):
        load_calibration_scores(finished)
