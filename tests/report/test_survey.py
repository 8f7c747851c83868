import math

import numpy as np
import pyarrow as pa
import pytest

from equipoise.errors import RunError
from equipoise.report.item import STATES, load_items
from equipoise.report.survey import survey_items
from equipoise.runs import ITEM_COLUMNS, start_run, write_items

ROWS = {
    "score": [0.5, None, 2.0, math.nan, 0.5, 1.0],
    "verdict": ["not_memorized", None, "memorized", "memorized", "opera", "inconclusive"],
    "error": [None, "damaged", None, None, None, None],
}


@pytest.fixture
def run(tmp_path):
    run = start_run(tmp_path / "run", kind="audit", spec={}, provenance={})
    plain = {name: [f"{name}-{row}" for row in range(6)] for name in ("id", "source")}
    numbers = dict.fromkeys(("p_value", "q_value"), [0.5] * 6)
    write_items(run, pa.table(plain | numbers | ROWS))
    return run


def test_states_and_scores_are_those_of_the_items(run):
    survey = survey_items(run)
    items = load_items(run)
    assert [STATES[state] for state in survey.states] == [item.state for item in items]
    assert [None if np.isnan(s) else s for s in survey.scores] == [f.score for f in items]
    assert list(survey.count_states().values()) == [2, 1, 1, 1, 1]
    assert survey.count_states(np.array([1, 2]))["failed"] == 1
    assert survey.reasons == {"damaged": 1}
    assert not survey.with_nearest


def test_ranked_by_score_what_has_none_later_what_failed_last(run):
    survey = survey_items(run)
    assert survey.rank().tolist() == [2, 5, 0, 4, 3, 1]
    assert survey.list_rows("memorized").tolist() == [2, 3]


def test_columns_of_other_types_are_no_scores_and_no_verdicts(run):
    rest = {name: [None] for name in ITEM_COLUMNS} | {"id": ["x"], "source": ["y"]}
    other = {"score": ["high"], "verdict": [7], "nearest": ["z"]}
    write_items(run, pa.table(rest | other), part=1)
    survey = survey_items(run)
    assert STATES[survey.states[6]] == "unjudged"
    assert np.isnan(survey.scores[6])
    assert survey.with_nearest


def test_no_items_are_an_error(tmp_path):
    empty = start_run(tmp_path / "empty", kind="audit", spec={}, provenance={})
    write_items(empty, pa.table({name: pa.array([], pa.string()) for name in ITEM_COLUMNS}))
    with pytest.raises(RunError, match="holds no items"):
        survey_items(empty)
