import pytest

from equipoise.bench.claim import describe_verdict


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-0.5, -0.1, "Memorized outputs resist"),
        (0.1, 0.5, "do not resist"),
        (-0.1, 0.2, "No difference"),
        (None, None, "Too few copies"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, told):
    middle = None if low is None else (low + high) / 2
    slope = {"value": middle, "low": low, "high": high}
    quiet = {"value": None, "low": None, "high": None}
    said = describe_verdict({"slope_difference": slope, "abruptness_difference": quiet})
    assert told in said
    assert "abruptly" not in said
    loud = {"value": 0.4, "low": 0.2, "high": 0.6}
    said = describe_verdict({"slope_difference": slope, "abruptness_difference": loud})
    assert ("abruptly: +0.40" in said) == (low is not None)
