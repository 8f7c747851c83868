import numpy as np
import pytest
import torch

from equipoise.detection import (
    Spikiness,
    SweepCell,
    choose_cell,
    sweep_cells,
    weighted_auroc,
)
from equipoise.errors import CalibrationError
from equipoise.images import content_ids, quantize

SITES = ("mid_block.resnets.0.conv2:in", "up_blocks.0.resnets.0.conv2:in")
PLANTED = torch.tensor([3, 3, 3, 8, 9] + [-1] * 15)


def build_cell(scores, **changes):
    spec = {"sites": SITES[:1], "sigma": 0.1} | changes
    return SweepCell(Spikiness(**spec), torch.as_tensor(scores, dtype=torch.float64))


def test_every_cell_equals_its_detector_scored_alone(tiny_edm):
    images = torch.rand(9, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = content_ids(quantize(images))
    reference = torch.arange(9) < 6
    cells = list(
        sweep_cells(
            tiny_edm, images, ids,
            site_sets=[(SITES[0],), SITES], sigmas=[0.1, 0.3], reference=reference, draws=2,
        )
    )  # fmt: skip
    assert len(cells) == 2 * 2 * 2 * 2 * 6  # sets, sigmas, poolings, scales, statistics
    assert len({cell.detector.model_dump_json() for cell in cells}) == len(cells)
    for cell in cells[::7]:
        alone = cell.detector.score(tiny_edm, images, ids).values
        torch.testing.assert_close(cell.scores, alone, rtol=2e-5, atol=1e-9)


def test_the_best_cell_is_chosen_and_its_sign_measured():
    noise = torch.randn(20, generator=torch.Generator().manual_seed(0)).double()
    upside_down = build_cell(-(PLANTED >= 0).double() + 0.01 * noise, statistic="hoyer")
    chosen = choose_cell([build_cell(noise), upside_down], PLANTED)
    assert chosen.detector == upside_down.detector.model_copy(update={"sign": -1})
    assert chosen.auroc == 1.0


def test_an_undefined_statistic_is_never_chosen():
    broken = build_cell([float("nan")] * 20)
    weak = build_cell(torch.linspace(0, 1, 20), statistic="l2")
    assert choose_cell([broken, weak], PLANTED).detector.statistic == "l2"


@pytest.mark.parametrize(
    "planted", [-torch.ones(20).long(), torch.arange(20)], ids=["no copy", "copies only"]
)
def test_choosing_needs_copies_and_novel_items(planted):
    with pytest.raises(CalibrationError, match="both"):
        choose_cell([build_cell(torch.arange(20))], planted)


def test_every_planted_image_counts_once():
    scores = torch.randn(20, generator=torch.Generator().manual_seed(2)).double()
    pairs = (scores[:5, None] > scores[5:]).double().mean(1).numpy()
    expected = np.mean([pairs[:3].mean(), pairs[3], pairs[4]])
    assert weighted_auroc(scores, PLANTED) == pytest.approx(expected)
