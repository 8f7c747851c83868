import numpy as np

from equipoise.bench.resistance import match_pairs

LABELS = ["copy", "copy", "copy", "novel", "novel", "grey", "novel", "copy", "copy"]
NEAREST = np.array([5, 5, 6, 1, 2, 5, 3, 99, 6])
SHOWN = np.array([0, 0, 1, 0, 1, 1, 1, 0, 1])


def test_pairs_show_one_class_and_take_every_planted_image_before_any_twice():
    pairs = match_pairs(LABELS, NEAREST, [5, 6], SHOWN, targets=[0, 1, 2], most=9)
    assert pairs.memorized.tolist() == [0, 2, 8]  # of 1 and 7 one has no partner, one no planting
    assert pairs.groups.tolist() == [5, 6, 6]
    assert SHOWN[pairs.memorized].tolist() == SHOWN[pairs.generalized].tolist()
    assert len(set(pairs.generalized)) == 3
    assert all(LABELS[row] == "novel" for row in pairs.generalized)
    assert all(pairs.targets != SHOWN[pairs.memorized])
    assert len(match_pairs(LABELS, NEAREST, [5, 6], SHOWN, targets=[0, 1, 2], most=1).groups) == 1


def test_without_copies_there_are_no_pairs():
    pairs = match_pairs(["novel"] * 9, NEAREST, [5], SHOWN, targets=[0, 1], most=9)
    assert len(pairs.groups) == len(pairs.targets) == 0
