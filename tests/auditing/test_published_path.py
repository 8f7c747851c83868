"""The benchmark against the published way of scoring, on narrow networks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_both_ways_give_the_same_scores_in_float32():
    words = "--divide 8 --px 64 --agreed 4 --timed 1 --json".split()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.published_path", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["exact_error"] <= 1e-5
    assert found["spearman"] >= 0.99
    assert found["n_images"] == 4
    assert min(found["ratio_one_draw"], found["ratio_four_draws"], found["ratio_exact"]) > 0
