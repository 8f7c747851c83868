import numpy as np

from equipoise.bench.concept import Concept
from equipoise.bench.resistance import match_pairs

LABELS = ["copy", "copy", "copy", "novel", "novel", "grey", "novel", "copy", "copy"]
NEAREST = np.array([5, 5, 6, 1, 2, 5, 3, 99, 6])
SHOWN = [{"class": name} for name in "aabababab"]
CONCEPTS = [Concept(name, "class", name) for name in "abc"]


def match(labels, concepts, *, most=9, shown=SHOWN):
    return match_pairs(labels, NEAREST, [5, 6], shown, concepts=concepts, most=most)


def test_pairs_show_one_class_and_take_every_planted_image_before_any_twice():
    shown = [{"class": name} for name in "aababbbab"]
    pairs = match(LABELS, CONCEPTS, shown=shown)
    assert pairs.memorized.tolist() == [0, 2, 8]  # of 1 and 7 one has no partner, one no planting
    assert pairs.groups.tolist() == [5, 6, 6]
    for copy, partner, target in zip(
        pairs.memorized, pairs.generalized, pairs.targets, strict=True
    ):
        assert shown[copy] == shown[partner]
        assert LABELS[partner] == "novel"
        assert CONCEPTS[target].value != shown[copy]["class"]
    assert len(set(pairs.generalized)) == 3
    assert len(match(LABELS, CONCEPTS, most=1, shown=shown).groups) == 1


def test_only_the_attribute_that_is_changed_has_to_agree():
    shown = [{"colour": c, "size": s} for c, s in zip("rrgrrgrgb", "slslslsls", strict=True)]
    concepts = [Concept("blue", "colour", "b"), Concept("large", "size", "l")]
    pairs = match(LABELS, concepts, shown=shown)
    assert len(pairs.targets) > 1
    for copy, partner, target in zip(
        pairs.memorized, pairs.generalized, pairs.targets, strict=True
    ):
        wanted = concepts[target].attribute
        assert shown[copy][wanted] == shown[partner][wanted] != concepts[target].value


def test_without_copies_or_with_nothing_left_to_change_there_are_no_pairs():
    assert len(match(["novel"] * 9, CONCEPTS).groups) == 0
    every_b = [{"class": "b"}] * 9
    assert len(match(LABELS, [Concept("b", "class", "b")], shown=every_b).targets) == 0
