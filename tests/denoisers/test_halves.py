"""Halves of calls; live pipelines: `steering/test_application.py`."""

import pytest
import torch

from equipoise.denoisers.halves import build_half_reader
from equipoise.denoisers.network_call import NetworkCall
from equipoise.errors import BadInputError


class StableDiffusionPipeline:  # known by its name, as pipelines are
    do_classifier_free_guidance = True


EMPTY = torch.tensor([9])


def call(sample, condition=None):
    return NetworkCall(
        sample, torch.ones(len(sample), dtype=torch.float64),
        None if condition is None else torch.tensor(condition),
    )  # fmt: skip


HALF = torch.arange(2.0)[:, None]


def test_a_pipeline_says_itself_that_its_call_is_guided():
    pipeline = StableDiffusionPipeline()
    read = build_half_reader(pipeline, None)
    halves = read(call(torch.cat([HALF, HALF])))
    assert halves.doubled
    assert halves.conditional.tolist() == [False, False, True, True]
    pipeline.do_classifier_free_guidance = False  # as in a call with guidance_scale=1
    halves = read(call(torch.cat([HALF, HALF])))
    assert not halves.doubled
    assert halves.conditional.all()


@pytest.mark.parametrize("rows", [HALF, HALF[:1]], ids=["unequal halves", "one row"])
def test_a_call_that_is_not_the_pipelines_own_is_refused(rows):
    read = build_half_reader(StableDiffusionPipeline(), None)
    with pytest.raises(BadInputError, match="two equal halves"):
        read(call(rows))


@pytest.mark.parametrize(
    ("condition", "conditional", "doubled"),
    [
        ([1, 2, 9, 9], [True, True, False, False], True),
        ([9, 9, 1, 2], [False, False, True, True], True),
        ([1, 2, 3, 4], [True] * 4, False),
        ([9, 1, 1, 9], [False, True, True, False], False),
        ([9, 9, 9, 9], [False] * 4, False),
    ],
)
def test_a_row_says_by_its_condition_which_half_it_is(condition, conditional, doubled):
    read = build_half_reader(object(), EMPTY)
    halves = read(call(torch.cat([HALF, HALF]), condition))
    assert halves.conditional.tolist() == conditional
    assert halves.doubled is doubled


def test_different_pictures_are_no_halves():
    read = build_half_reader(object(), EMPTY)
    assert not read(call(torch.arange(4.0)[:, None], [1, 2, 9, 9])).doubled
