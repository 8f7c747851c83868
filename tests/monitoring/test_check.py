import json

from equipoise.monitoring.check import Check, read_check

RATE = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 120, "groups": 30}


def test_a_check_comes_back_from_its_record_and_says_what_a_tracker_draws():
    check = Check(
        step=200, spikiness=RATE, residual=RATE | {"value": 0.875}, icr=None, copies=0.02,
        p_value=0.0005, level=0.001, stops=True, onsets={7: 200, 12: 100}, seconds=1.5,
    )  # fmt: skip
    assert read_check(json.loads(json.dumps(check.describe()))) == check
    assert check.list_values() == {
        "monitor/spikiness": 0.75, "monitor/residual": 0.875, "monitor/copies": 0.02,
        "monitor/p_value": 0.0005, "monitor/level": 0.001, "monitor/named": 2.0,
        "monitor/stops": 1.0,
    }  # fmt: skip
