import pytest

from equipoise.monitoring.check import Check
from equipoise.monitoring.rehearsal import Glance, Rehearsal, find_lowest, run_rehearsals
from equipoise.monitoring.short import SHORT
from equipoise.runs import check_run, load_run

RATE = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 120, "groups": 30}


def build_check(step, onsets, *, stops=False):
    return Check(step, RATE, RATE, None, None, 0.5, 0.001, stops, onsets, 1.0)


def test_alarm_first_copy_and_names_are_read_off_the_checks(tmp_path):
    checks = [build_check(10, {}), build_check(20, {0: 20}, stops=True), build_check(30, {2: 30})]
    seen = Rehearsal(
        SHORT["edm-short"], tmp_path, [7, 12, 31], {7, 12}, checks,
        copied=[set(), set(), {12}], glances=[], seconds={},
    )  # fmt: skip
    assert (seen.alarm, seen.first_copy) == (20, 30)
    assert seen.named == {31}


def test_the_lowest_value_is_none_while_it_still_falls():
    glances = [Glance(10, 3.0, None), Glance(20, 2.0, 0.5), Glance(30, 2.5, 0.4)]
    assert find_lowest(glances, "validation") == 20
    assert find_lowest(glances, "icr") is None
    assert find_lowest([], "icr") is None


@pytest.mark.slow
def test_tiny_trainings_are_held_against_the_truth(tmp_path):
    recipe = SHORT["edm-short"].model_copy(
        update={"steps": 4, "num_images": 300, "num_held_out": 120, "channels": (8, 16)}
    )
    run = run_rehearsals(tmp_path / "demo", recipes=[recipe], checks=2, outputs=10)
    (model,) = run.record.results["models"]
    assert model["model"] == "edm-short"
    assert model["planted"] == 15
    assert model["false_stop"]["n"] == 1000
    assert model["named"] == sum(
        model[key] for key in ("named_right", "named_not_copied", "false_names")
    )
    for name in ("edm-short", "edm-short-clean"):
        inner = tmp_path / "demo" / name
        assert [check["step"] for check in load_run(inner).record.results["checks"]] == [2, 4]
        assert set(check_run(inner).values()) == {"ok"}
        assert (inner / "report.html").is_file()
