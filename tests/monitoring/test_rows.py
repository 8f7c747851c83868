import numpy as np
import torch

from equipoise.monitoring.check import Check
from equipoise.monitoring.probe import Evidence, Probe
from equipoise.monitoring.rows import build_rows
from equipoise.monitoring.split import Naming

RATE = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 2, "groups": 2}


def test_only_training_images_are_tested_and_named():
    probe = Probe(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), np.array([4, 9]))
    evidence = Evidence(np.arange(5.0), np.arange(5.0))
    naming = Naming(np.array([0.2, 0.5]), np.array([0.4, 0.5]), np.array([True, False]))
    check = Check(7, RATE, RATE, None, None, 0.5, 0.001, False, {4: 3}, 1.0)
    rows = build_rows(probe, evidence, naming, check).to_pydict()
    assert rows["side"] == ["training"] * 2 + ["held_out"] * 3
    assert rows["index"] == [4, 9, None, None, None]
    assert rows["named"] == [True, False, None, None, None]
    assert rows["onset"] == [3, None, None, None, None]
    assert build_rows(probe, evidence, None, check)["p_value"].null_count == 5
