import math

import pytest

from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate


@pytest.mark.parametrize("entry", [None, "1", True, math.nan, math.inf, [], {}])
def test_what_is_no_finite_number_is_none(entry):
    assert get_number(entry) is None
    assert get_count(entry) is None


def test_a_rate_keeps_what_is_there():
    entry = {"value": 1, "low": None, "high": 1.5, "n": 20.0, "groups": "many"}
    assert get_rate(entry) == Rate(1.0, None, 1.5, 20, None)
    assert get_rate(None) == get_rate(0.5) == Rate()


def test_other_shapes_become_empty():
    assert get_mapping([1]) == {}
    assert get_list({"a": 1}) == []
