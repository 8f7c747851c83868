"""Conditioned spikiness against a loop over single items and draws."""

import pytest
import torch

from equipoise.denoisers import build_from_pipeline
from equipoise.detection import ConditionedSpikiness, Spikiness, UnitScale
from equipoise.errors import BadInputError
from equipoise.representation import capture, measure, select_sites
from equipoise.sampling import draw_noise

IDS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def model(pipeline):
    return build_from_pipeline(pipeline)


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.slow
def test_each_draw_is_looked_at_with_the_condition_of_its_item(model, images):
    sites = select_sites(model, model.default_sites)
    told = model.encode_prompts(["a", "b c", "d"])
    sigma = model.snap(1.0)
    detector = ConditionedSpikiness(
        sites=sites, sigma=sigma, draws=2, seed=4, statistic="l2", sign=-1
    )
    found = detector.score(model, images, IDS, conditions=told)
    x0 = model.encode(images)
    for row, item in enumerate(IDS):
        for draw in range(2):
            eps = draw_noise(model.sample_shape, seed=4, item_id=item, draw=draw)
            with torch.no_grad(), capture(model, sites, stop=False) as tape:
                model.denoise(
                    (x0[row] + sigma * eps)[None], torch.tensor([sigma]), told[row : row + 1]
                )
                units = torch.cat([tape[site].flatten().double() for site in sites])
            expected = -float(measure(units[None], "l2")[0])
            assert float(found.per_draw[row, draw]) == pytest.approx(expected, rel=1e-4)
    assert found.evaluations == 3 * 2


@pytest.mark.slow
def test_told_nothing_it_is_plain_spikiness(model, images):
    sites = select_sites(model, model.default_sites)
    words = {"sites": sites, "sigma": model.snap(0.5), "draws": 2}
    plain = Spikiness(**words).score(model, images, IDS)
    x0, sigma = model.encode(images), torch.full((3,), model.snap(0.5))
    with torch.no_grad(), capture(model, sites, stop=False) as tape:
        model.denoise(x0, sigma, model.null_condition(3))
        width = sum(tape[site].shape[1] for site in sites)
    told = model.encode_prompts(["", "", ""])
    detector = ConditionedSpikiness(**words)
    torch.testing.assert_close(
        detector.score(model, images, IDS, conditions=told).values, plain.values
    )
    scale = UnitScale(mean=(0.0,) * width, std=(2.0,) * width)
    halved = detector.model_copy(update={"scale": scale})
    torch.testing.assert_close(
        halved.score(model, images, IDS, conditions=told).values, plain.values / 2
    )


def test_it_is_refused_without_conditions(tiny_edm):
    detector = ConditionedSpikiness(sites=("up_blocks.0.resnets.0.conv2:in",), sigma=1.0)
    with pytest.raises(BadInputError, match="the model takes none"):
        detector.score(tiny_edm, torch.rand(1, 1, 16, 16), ["a"])
