"""Records of another shape than a page expects end in a page or in one clear error."""

import copy
import json
import random
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from equipoise.errors import RunError
from equipoise.report import render_against, render_report
from equipoise.report.boundary import tell_misfit
from equipoise.runs import Run, finish_run, load_run, start_run

FOREIGN = (
    None, True, 0, -3, 1e308, -1e-308, 10**400, "another", "", "\x00\u202e", [], [[]], {}, {"": 0},
    [None, "a", 1], {"value": "x", "low": [], "high": {}},
)  # fmt: skip
"""What stands where something else is expected."""
MUTANTS = 8


def load_makers():
    """Take the runs of every kind from the file beside this one."""
    spec = spec_from_file_location("boundary_makers", Path(__file__).with_name("makers.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MAKERS


MAKERS = load_makers()


def list_places(tree, place=()):
    """List every place of a nested record."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, entry in entries:
        yield (*place, key)
        if isinstance(entry, dict | list):
            yield from list_places(entry, (*place, key))


def spoil(record, rng):
    """Replace, rename or remove what stands at three places of a record."""
    record = copy.deepcopy(record)
    for _ in range(3):
        places = [p for p in list_places(record) if len(p) > 1 and p[0] in ("spec", "results")]
        *way, last = rng.choice(places)
        at = record
        for key in way:
            at = at[key]
        match rng.randrange(4):
            case 0:
                del at[last]
            case 1 if isinstance(at, dict):
                at[f"{last} of others"] = at.pop(last)
            case _:
                at[last] = rng.choice(FOREIGN)
    return record


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of numbers that leave the range of a plot
@pytest.mark.parametrize("kind", MAKERS)
def test_a_foreign_record_gives_a_page_or_an_error_that_names_the_run(kind, tmp_path):
    path = tmp_path / "run"
    MAKERS[kind](path)
    record = json.loads((path / "run.json").read_text())
    rng = random.Random(kind)
    for _ in range(MUTANTS):
        (path / "run.json").write_text(json.dumps(spoil(record, rng)))
        told = None
        try:
            render_report(path)
        except RunError as error:
            told = str(error)
        assert told is None or str(path) in told


def test_a_misfit_names_the_run_and_what_did_not_fit(tmp_path):
    run = start_run(tmp_path / "run", kind="phase", spec={}, provenance={})
    told = r'run" cannot be shown: .* kind "phase" \(KeyError: \'n\'\)'
    with pytest.raises(RunError, match=told), tell_misfit(run):
        {}["n"]


def test_faults_that_no_record_causes_pass(tmp_path):
    run = start_run(tmp_path / "run", kind="phase", spec={}, provenance={})
    with pytest.raises(OSError, match="full"), tell_misfit(run):
        raise OSError("the disk is full")


def test_diagrams_of_other_names_are_told(tmp_path):
    run = start_run(tmp_path / "run", kind="phase", spec={}, provenance={})
    run = finish_run(run, results={"cells": [{"diagram": "foreign"}]}, cost={})
    with pytest.raises(RunError, match="has no cells of the diagram copies, units"):
        render_report(run.path)
    assert isinstance(load_run(run.path), Run)
    assert render_against(run.path, run.path).is_file()
