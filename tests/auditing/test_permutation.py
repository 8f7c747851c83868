import math
from itertools import combinations

import numpy as np
import pytest
import torch

from equipoise.auditing import permutation
from equipoise.auditing.permutation import compare_sets
from equipoise.detection import build_default
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids


def compare(model, training, held_out):
    return compare_sets(model, build_default(model), training=training, held_out=held_out)


def test_training_images_that_score_higher_are_noticed(model, draw_pictures):
    found = compare(model, draw_pictures(60, seed=1, contrast=200),
                    draw_pictures(60, seed=2, contrast=40))  # fmt: skip
    assert found["p_value"] == pytest.approx(1 / 10_000)
    assert found["difference"] > 0
    assert found["auroc"]["value"] > 0.95
    assert (found["n_training"], found["n_held_out"]) == (60, 60)


def test_lower_scores_of_training_images_are_no_evidence(model, draw_pictures):
    found = compare(model, draw_pictures(60, seed=1, contrast=40),
                    draw_pictures(60, seed=2, contrast=200))  # fmt: skip
    assert found["p_value"] > 0.99


@pytest.mark.slow
def test_exchangeable_sets_have_uniform_p_values(model, draw_pictures):
    pool = draw_pictures(2000, seed=3, contrast=100)
    p = [compare(model, pool[i : i + 20], pool[i + 20 : i + 40])["p_value"]
         for i in range(0, 2000, 40)]  # fmt: skip
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.1) < 0.25


def test_the_p_value_is_that_of_all_relabellings(model, draw_pictures, monkeypatch):
    """A slow twin that goes through every relabelling of a small case."""
    monkeypatch.setattr(permutation, "MIN_IMAGES", 5)
    pool = draw_pictures(10, seed=5, contrast=100)
    found = compare(model, pool[:5], pool[5:])
    detector = build_default(model)
    scores = detector.score(model, as_unit(pool), content_ids(pool)).values.numpy()
    seen = scores[:5].mean() - scores[5:].mean()
    higher = [
        scores[list(rows)].mean() - np.delete(scores, rows).mean() >= seen - 1e-12
        for rows in combinations(range(10), 5)
    ]
    assert len(higher) == math.comb(10, 5)
    assert found["difference"] == pytest.approx(seen)
    assert found["p_value"] == pytest.approx(np.mean(higher), abs=0.03)


def test_equal_pictures_count_once_and_shared_ones_not_at_all(model, draw_pictures):
    one = draw_pictures(30, seed=1, contrast=100)
    two = draw_pictures(30, seed=2, contrast=100)
    repeated = torch.cat([one, one, two[:3]])
    found = compare(model, repeated, two)
    assert (found["n_training"], found["n_held_out"]) == (30, 27)


def test_too_few_images_are_refused(model, draw_pictures):
    with pytest.raises(BadInputError, match=r"5 training and 30 held-out .* at least 20"):
        compare(model, draw_pictures(5, seed=1, contrast=100),
                draw_pictures(30, seed=2, contrast=100))  # fmt: skip
