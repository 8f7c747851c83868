import numpy as np
import pytest

from equipoise.theory.figures.part import SIGMAS
from equipoise.theory.figures.spread import build_spread


@pytest.mark.slow
def test_the_area_is_that_of_the_scores_that_are_kept(nets):
    from sklearn.metrics import roc_auc_score

    part = build_spread(nets)
    assert [row["sigma"] for row in part.results["rows"]] == list(SIGMAS)
    for row in part.results["rows"]:
        scores = [part.tensors[f"{name}-{row['sigma']:g}"] for name in ("memorized", "others")]
        truth = [1] * len(scores[0]) + [0] * len(scores[1])
        assert row["std"]["value"] == pytest.approx(roc_auc_score(truth, np.concatenate(scores)))
        assert row["std"]["groups"] == len(scores[0]) == 5
