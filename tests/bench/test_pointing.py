import pytest
import torch

from equipoise.bench.pointing import draw_blob, measure_slopes, overlap, point, share
from equipoise.detection import Spikiness
from equipoise.images import content_ids, quantize

SITE = "up_blocks.0.resnets.0.conv2:in"


def test_measures_of_a_map_on_its_region_beside_it_and_half_over():
    region = torch.zeros(3, 4, 4, dtype=torch.bool)
    region[:, :, :2] = True
    maps = torch.zeros(3, 4, 4)
    maps[0, :, :2] = 1 + torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    maps[1, :, 2:] = 1
    maps[2, :2] = 1  # the upper half, its warmest pixel in the left
    maps[2, 0, 0] = 2
    maps[:, 3, 3] -= 0.5
    assert point(maps, region).tolist() == [True, False, True]
    torch.testing.assert_close(overlap(maps, region)[0], torch.tensor(1.0))
    assert float(overlap(maps, region)[1]) == 0
    assert float(share(maps, region)[0]) == 1
    assert float(share(maps, region)[2]) == pytest.approx(5 / 9)


def test_the_blob_is_symmetric_and_warmest_in_the_middle():
    (blob,) = draw_blob(1, (6, 8))
    torch.testing.assert_close(blob, blob.flip(0).flip(1))
    assert divmod(int(blob.argmax()), 8)[0] in (2, 3)


def test_slopes_equal_central_differences_of_the_score(tiny_edm):
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = content_ids(quantize(images))
    detector = Spikiness(sites=(SITE,), sigma=0.3, pooling="mean", draws=1)
    slopes = measure_slopes(tiny_edm, images, detector, ids)
    step = 2e-2
    for row, column in [(3, 4), (10, 12)]:
        moved = []
        for sign in (1, -1):
            twin = images.clone()
            twin[:, :, row, column] += sign * step / 2  # samples span [-1, 1]
            moved.append(detector.score(tiny_edm, twin, ids).values)
        found = ((moved[0] - moved[1]) / (2 * step)).abs().float()
        torch.testing.assert_close(slopes[:, row, column], found, rtol=0.05, atol=1e-5)
