import pytest

from equipoise.bench.verdict import is_partly_content


def rate(low, high):
    return {"value": (low + high) / 2, "low": low, "high": high, "n": 10, "groups": 5}


@pytest.mark.parametrize(
    ("twin", "difference", "expected"),
    [
        (rate(0.4, 0.6), rate(0.1, 0.2), False),
        (rate(0.7, 0.8), rate(0.25, 0.4), False),
        (rate(0.7, 0.8), rate(0.24, 0.4), True),
        (rate(0.2, 0.4), rate(0.1, 0.4), True),
        ({"value": None, "low": None, "high": None}, rate(0.3, 0.4), True),
    ],
    ids=["chance inside", "large margin", "small margin", "twin reversed", "no interval"],
)
def test_partly_content_follows_the_design(twin, difference, expected):
    assert is_partly_content(twin, difference) is expected
