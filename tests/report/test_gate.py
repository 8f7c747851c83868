from xml.etree import ElementTree

import pytest

from equipoise.report import describe_gate, write_gate
from equipoise.runs import finish_run, start_run

RESULTS = {
    "scored": 1200,
    "failed": 3,
    "verdicts": {"memorized": 45, "not_memorized": 1000, "inconclusive": 155},
    "copy_rate": {"value": 0.04, "low": 0.02, "high": 0.06, "n": 1200},
    "expected_false_flags": {"value": 12.0, "low": 4, "high": 20, "n": 1200},
    "detection_limit": 0.015,
}

EXCEEDED = {"limit": 0.01, "outcome": "exceeded", "low": 0.02, "high": 0.06}
KEPT = {"limit": 0.01, "outcome": "kept", "low": 0.0, "high": 0.004}
UNDECIDED = {"limit": 0.01, "outcome": "undecided", "low": 0.0, "high": None}


def make_run(path, changed):
    run = start_run(path, kind="audit", spec={}, provenance={})
    return finish_run(run, results=RESULTS | changed, cost={"parts": {}, "seconds": 2.5})


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", {})


@pytest.mark.parametrize(("gate", "failures"), [(EXCEEDED, 1), (KEPT, 0), (UNDECIDED, 0)])
def test_a_build_server_reads_one_test_that_fails_above_the_limit(run, gate, failures):
    xml, _ = write_gate(run, gate)
    suite = ElementTree.parse(xml).getroot()
    assert suite.tag == "testsuite"
    assert (suite.get("tests"), suite.get("failures")) == ("1", str(failures))
    (case,) = suite.findall("testcase")
    assert case.get("name") == "share of copies at most 0.01"
    assert len(case.findall("failure")) == failures
    assert all(one.get("message") == describe_gate(gate) for one in case.findall("failure"))


def test_the_summary_is_one_sentence_and_a_table_of_the_run(run):
    _, summary = write_gate(run, KEPT)
    lines = summary.read_text().splitlines()
    assert lines[2] == describe_gate(KEPT)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[6:]]
    found = dict(cells)
    assert found == {
        "images judged": "1,200",
        "could not be read": "3",
        "flagged as memorized": "45",
        "false alarms to expect": "4\u201320",
        "share of copies": "4\u00a0% (2\u20136\u00a0%)",
        "share that would be noticed": "1.5\u00a0%",
        "allowed": "1\u00a0%",
    }


def test_the_sentence_says_outcome_and_interval():
    assert "more copies than allowed" in describe_gate(EXCEEDED)
    assert "2\u00a0% to 6\u00a0%" in describe_gate(EXCEEDED)
    assert "no upper end known" in describe_gate(UNDECIDED)


def test_nothing_known_is_said_as_such(tmp_path):
    rate = {"value": None, "low": 0.0, "high": None, "n": 80}
    run = make_run(tmp_path / "run", {"copy_rate": rate, "detection_limit": None})
    _, summary = write_gate(run, UNDECIDED)
    assert "unknown (no interval)" in summary.read_text()
