"""Tiled distance against loops over tiles, pairs and single generations."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from equipoise.detection import TiledDistance
from equipoise.detection.pole import build_pole
from equipoise.sampling import SamplerSpec, draw_noise, sample_heun


@pytest.mark.parametrize("tiles", [1, 4, 5])
def test_it_is_the_smallest_over_pairs_of_the_largest_over_tiles(tiles):
    pole = build_pole()
    spec = SamplerSpec(steps=3)
    detector = TiledDistance(sampler=spec, tiles=tiles, draws=3, seed=2)
    found = detector.score(
        pole.denoiser, pole.images[5:7], pole.ids[5:7], conditions=pole.conditions[5:7]
    )
    levels = spec.list_sigmas(pole.denoiser)
    pictures = []
    for draw in range(3):
        noise = draw_noise((1, 16, 16), seed=2, item_id=pole.ids[6], draw=draw)[None]
        *_, last = sample_heun(pole.denoiser, noise, levels, cond=pole.conditions[[6]])
        pictures.append(last.x[0, 0].double().numpy())
    edges = [int(part[0]) for part in np.array_split(np.arange(16), tiles)] + [16]
    spans = [slice(a, b) for a, b in pairwise(edges)]
    distances = [
        max(np.sqrt(((a - b)[rows, cols] ** 2).mean()) for rows in spans for cols in spans)
        for a, b in combinations(pictures, 2)
    ]
    assert float(found.values[1]) == pytest.approx(-min(distances), rel=1e-5)
    assert found.evaluations == 2 * 3 * 5
