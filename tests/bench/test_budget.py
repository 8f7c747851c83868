import torch

from equipoise.bench.budget import (
    LEAST,
    LEAST_OUTPUTS,
    MOST_OUTPUTS,
    OUTPUT_WORK,
    WORK,
    count_affordable,
    count_operations,
    count_outputs,
    find_excess,
    is_costly,
)
from equipoise.denoisers import GaussianDenoiser, wrap
from equipoise.detection import Card
from equipoise.sampling import SamplerSpec

NETWORK = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Linear(256, 64))
MODEL = wrap(
    NETWORK, sample_shape=(64,), data_std=1.0, prediction="x0",
    call=lambda net, x, sigma: net(x), sites=("1:in",),
)  # fmt: skip


def build_card(evaluations):
    return Card("one", "this test", "none", evaluations, "none")


def test_operations_are_two_for_every_weight_and_sample():
    assert count_operations(MODEL) == 2 * 2 * 64 * 256


def test_items_fall_with_the_passes_down_to_a_least():
    whole = int(WORK / (2 * 2 * 64 * 256))
    assert count_affordable(build_card(1), MODEL) == whole
    assert count_affordable(build_card(4), MODEL) == whole // 4
    assert count_affordable(build_card(10**9), MODEL) == LEAST
    assert is_costly(build_card(10**9), MODEL)
    assert not is_costly(build_card(4), MODEL)


def test_a_formula_counts_as_at_least_one_operation():
    formula = GaussianDenoiser(torch.zeros(2), torch.eye(2))
    assert count_operations(formula) >= 1


def test_only_a_detector_that_generates_is_left_out_for_its_cost():
    needs = ("condition", "generations")
    few, many = (Card("one", "this test", "none", n, "none", needs) for n in (4, 10**9))
    assert find_excess(few, MODEL) is None
    assert find_excess(build_card(10**9), MODEL) is None
    assert "--detectors" in find_excess(many, MODEL)


def test_outputs_are_fewer_where_one_costs_more():
    cheap, dear, dearest = (SamplerSpec(steps=s) for s in (10, 60_000, 10**9))
    assert count_outputs(cheap, MODEL) == MOST_OUTPUTS
    assert count_outputs(dear, MODEL) == int(OUTPUT_WORK / (119_999 * count_operations(MODEL)))
    assert count_outputs(dearest, MODEL) == LEAST_OUTPUTS
