import numpy as np

from equipoise.report.edited import build_editing

STRIP = np.zeros((3, 2, 1, 8, 8), dtype=np.uint8)


def build(**words):
    concept = {"name": "bag", "gain": {"value": 0.4, "strength": 1.0}, "kept_curve": [1.0, 0.75]}
    told = {"n": 5, "strengths": [0.0, 1.0], "concepts": [concept | words]}
    return build_editing(told, {"edit bag": STRIP}, lambda strip: [[str(np.shape(strip))]])


def test_what_is_kept_is_told_at_the_strength_of_the_gain():
    [concept] = build().concepts
    assert (concept.strength, concept.kept) == (1.0, 0.75)
    assert concept.strip == [["(3, 2, 1, 8, 8)"]]


def test_a_family_without_other_attributes_and_an_older_run_are_shown_too():
    assert build(kept_curve=None).concepts[0].kept is None
    assert build_editing({}, {}, lambda strip: []).concepts == []
