import pytest
import torch
from torch import nn

from equipoise.denoisers import build_from_pipeline, wrap
from equipoise.detection import (
    Spikiness,
    UnitScale,
    Whitening,
    has_places,
    join_units,
    measure_heat,
)
from equipoise.detection.heatmap import split_score, spread_part
from equipoise.errors import BadInputError
from equipoise.images import content_ids, quantize
from equipoise.representation import pool, select_sites

SITES = ("up_blocks.0.resnets.0.conv2:in", "up_blocks.1.resnets.0.conv2:in")


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def scale_of(num):
    mean, std = draw(num, seed=1), draw(num, seed=2).abs() + 0.1
    return UnitScale(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


@pytest.mark.parametrize("pooling", ["max", "mean", "none"])
@pytest.mark.parametrize("statistic", ["std", "l2", "kurtosis"])
def test_a_part_is_the_slope_of_the_score_when_its_place_moves_to_the_novel_mean(
    pooling, statistic
):
    """Central differences in float64 through the score itself, place by place."""
    h = draw(2, 5, 3, 4)
    num = 5 if pooling != "none" else 60
    detector = Spikiness(
        sites=("a",), sigma=1, pooling=pooling, statistic=statistic, sign=-1, scale=scale_of(num)
    )
    (part,), _ = split_score(detector, [h])
    mean = torch.tensor(detector.scale.mean, dtype=torch.float64)
    mean = mean.view(5, 3, 4) if pooling == "none" else mean.view(5, 1, 1).expand(5, 3, 4)
    if pooling == "mean":  # pooled in float32
        step, tolerance = 1e-2, 2e-3
    else:
        step, tolerance = 1e-6, 1e-6
    for row, column in [(0, 0), (1, 3), (2, 2)]:
        moved = []
        for sign in (1, -1):
            twin = h.clone()
            twin[:, :, row, column] += sign * step * (h - mean)[:, :, row, column]
            moved.append(detector.measure_units(join_units([pool(twin, pooling)])))
        slope = (moved[0] - moved[1]) / (2 * step)
        torch.testing.assert_close(part[:, row, column], slope, rtol=tolerance, atol=tolerance)


def test_whitened_parts_add_up_to_the_score(tiny_edm):
    images = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = content_ids(quantize(images))
    plain = Spikiness(sites=SITES, sigma=0.2, statistic="l2", draws=2)
    units = plain.observe_units(tiny_edm, images, ids).flatten(0, 1)
    white = plain.model_copy(update={"scale": Whitening.fit(units, num_axes=5)})
    heat = measure_heat(tiny_edm, images, white, ids)
    scores = white.score(tiny_edm, images, ids).values
    torch.testing.assert_close(heat.maps.sum(dim=(1, 2)).double(), scores, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_map_of_a_told_detector_is_told_too(pipeline):
    model = build_from_pipeline(pipeline)
    images, ids = torch.rand(3, 3, 16, 16), ["a", "b", "c"]
    asked = model.encode_prompts(["a", "b c", "d"])
    sites = select_sites(model, model.default_sites)
    detector = Spikiness(
        sites=sites, sigma=model.snap(1.0), draws=2, statistic="l2", condition="own"
    )
    heat = measure_heat(model, images, detector, ids, conditions=asked)
    scores = detector.score(model, images, ids, conditions=asked).values
    torch.testing.assert_close(heat.maps.sum(dim=(1, 2)).double(), scores, rtol=1e-3, atol=1e-4)
    with pytest.raises(BadInputError, match="needs one condition an image"):
        measure_heat(model, images, detector, ids)


@pytest.mark.parametrize(("statistic", "scaled"), [("std", False), ("l2", True)])
def test_the_parts_of_all_sites_add_up_to_the_score(tiny_edm, statistic, scaled):
    images = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = content_ids(quantize(images))
    detector = Spikiness(sites=SITES, sigma=0.2, statistic=statistic, draws=2)
    if scaled:
        num = measure_heat(tiny_edm, images[:1], detector, ids[:1]).units.shape[1]
        detector = detector.model_copy(update={"scale": scale_of(num)})
    heat = measure_heat(tiny_edm, images, detector, ids)
    scores = detector.score(tiny_edm, images, ids).values
    torch.testing.assert_close(heat.maps.sum(dim=(1, 2)), scores, rtol=1e-5, atol=1e-5)
    again = measure_heat(tiny_edm, images, detector, ids, batch=3)
    torch.testing.assert_close(again.maps, heat.maps, rtol=1e-4, atol=1e-6)


class Matcher(nn.Module):
    """Units of 3 x 3 patterns: an image that holds one of them excites one unit, at its place."""

    def __init__(self, patterns, *, tokens):
        super().__init__()
        self.conv = nn.Conv2d(1, len(patterns), 3, padding=1, bias=False)
        self.conv.weight.data = patterns[:, None]
        self.site = nn.Identity()
        self.tokens = tokens

    def forward(self, x):
        h = self.conv(x).relu()
        return x + 0 * self.site(h.flatten(2).mT if self.tokens else h).mean()


@pytest.mark.parametrize("tokens", [False, True])
def test_the_hottest_pixel_lies_in_the_planted_pattern(tokens):
    patterns = torch.randn(8, 3, 3, generator=torch.Generator().manual_seed(3))
    model = wrap(
        Matcher(patterns, tokens=tokens), sample_shape=(1, 12, 12), data_std=1.0, prediction="x0",
        call=lambda net, x, sigma: net(x), sites=("site:in",),
    )  # fmt: skip
    detector = Spikiness(sites=("site:in",), sigma=0.01, draws=2)
    assert has_places(model, detector)
    images = torch.full((4, 1, 12, 12), 0.5)
    places = [(2, 9), (9, 2), (5, 5), (1, 1)]
    for image, (row, column) in zip(images, places, strict=True):
        image[0, row - 1 : row + 2, column - 1 : column + 2] += 0.2 * patterns[row % 8]
    maps = measure_heat(model, images.clamp(0, 1), detector, list("abcd")).maps
    hottest = torch.tensor([divmod(int(place), 12) for place in maps.flatten(1).argmax(dim=1)])
    assert int((hottest - torch.tensor(places)).abs().max()) <= 1


def test_bringing_a_map_to_a_multiple_of_its_size_keeps_its_sum():
    part = draw(3, 4, 5)
    wide = spread_part(part, (16, 15))
    torch.testing.assert_close(wide.sum(dim=(1, 2)), part.sum(dim=(1, 2)))


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 3)])
def test_activations_without_places_are_refused_by_name(shape):
    detector = Spikiness(sites=("a",), sigma=1)
    with pytest.raises(BadInputError, match="no places of the image"):
        split_score(detector, [draw(*shape)])
