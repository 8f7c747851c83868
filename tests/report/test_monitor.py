import re

import pytest

from equipoise.report import render_report
from equipoise.report.monitor import build_monitor
from equipoise.runs import finish_run, start_run, update_run

pytestmark = pytest.mark.slow  # drawing pages takes seconds

RATE = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 120, "groups": 30}


def build_check(step, *, p_value, onsets, stops=False, copies=None):
    return {
        "step": step, "spikiness": RATE, "residual": RATE | {"value": 0.875}, "icr": None,
        "copies": copies, "p_value": p_value, "level": 0.001, "stops": stops, "seconds": 1.0,
        "onsets": [{"index": index, "onset": onset} for index, onset in onsets],
    }  # fmt: skip


CHECKS = [
    build_check(100, p_value=0.4, onsets=[]),
    build_check(200, p_value=0.0005, onsets=[(7, 200)], stops=True, copies=0.02),
    build_check(300, p_value=0.0005, onsets=[(3, 300), (7, 200)], copies=0.04),
]


def make_run(path, checks=CHECKS, *, stop=200, finished=True):
    spec = {"checks": 50, "false_stops": 0.05, "fdr": 0.05, "training": 30}
    run = start_run(path, kind="monitor", spec=spec, provenance={})
    results = {"checks": checks, "stop": stop, "relabellings": 19999}
    run = update_run(run, results=results)
    if finished:
        run = finish_run(run, results=results, cost={"seconds": 60.0, "monitor_seconds": 3.0})
    return run


def read(run):
    page = render_report(run.path).read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_page_says_when_to_stop_why_and_which_images(tmp_path):
    run = make_run(tmp_path / "run")
    page = read(run)
    assert "Stop at step 200: memorization has begun; 2 of the watched training images" in page
    assert "p = 0.00050, where the rule stops at 0.0010." in page
    assert "The last check without an alarm was at step 100." in page
    assert "at most 5 % over all of its checks" in page
    names = build_monitor(run)["names"]
    assert [(name.index, name.onset) for name in names] == [(7, 200), (3, 300)]
    assert "0.875" in page


def test_a_running_training_has_a_page(tmp_path):
    page = read(make_run(tmp_path / "run", CHECKS[:1], stop=None, finished=False))
    assert "Running" in page
    assert "Go on: no alarm up to step 100" in page
    assert "Share of copies" not in page


def test_before_the_first_check_the_page_says_so(tmp_path):
    assert "No check has been made yet." in read(
        make_run(tmp_path / "run", [], stop=None, finished=False)
    )


def test_an_alarm_at_the_first_check_may_come_late(tmp_path):
    page = read(make_run(tmp_path / "run", CHECKS[1:], stop=200))
    assert "memorization may have begun earlier" in page
