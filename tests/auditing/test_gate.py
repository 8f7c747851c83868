import pytest

from equipoise.auditing.gate import judge_limit


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.011, 0.3, "exceeded"),
        (0.01, 0.3, "undecided"),  # the limit itself is allowed
        (0.0, 0.011, "undecided"),
        (0.0, 0.01, "kept"),
        (0.0, None, "undecided"),  # the calibration knows no copies
        (0.02, None, "exceeded"),
    ],
)
def test_the_interval_decides(low, high, outcome):
    gate = judge_limit({"value": 0.5, "low": low, "high": high, "n": 100}, 0.01)
    assert (gate.outcome, gate.limit, gate.low, gate.high) == (outcome, 0.01, low, high)


def test_nothing_is_allowed_at_zero():
    assert judge_limit({"low": 1e-4, "high": 0.1}, 0.0).outcome == "exceeded"
    assert judge_limit({"low": 0.0, "high": 0.1}, 0.0).outcome == "undecided"
