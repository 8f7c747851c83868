import pytest

from equipoise.bench.watch import choose_saves


def build_looks(*copies):
    return [
        {"step": 500 * i, "n": 100, "copy": count, "grey": 0, "novel": 100 - count}
        for i, count in enumerate(copies, start=1)
    ]


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ((0, 0, 1, 6, 12, 20, 20), {"before": 1500, "at": 2500}),
        ((0, 20, 20), {"before": 500, "at": 1000}),
        ((5, 8, 20, 20), {"before": 500, "at": 1500}),  # copies at the first look already
        ((0, 0, 1), {}),  # a model that never copies has no onset
    ],
)
def test_the_saves_stand_before_and_at_the_onset(copies, expected):
    assert choose_saves(build_looks(*copies)) == expected


def test_a_training_that_copies_at_its_first_look_has_one_save_for_both():
    assert choose_saves(build_looks(20, 20)) == {"before": 500, "at": 500}
