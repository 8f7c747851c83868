from collections import Counter

import pytest
import torch

from equipoise.errors import BadInputError
from equipoise.zoo.planting import build_training_set, build_variants, draw_planted

IMAGES = torch.randint(0, 256, (100, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(
    torch.uint8
)
CLASSES = torch.arange(100) % 10
PLANTED = draw_planted(100, per_cell=3, multiplicities=(5, 12), seed=1)


def test_planted_images_fill_every_cell_evenly():
    cells = Counter((item.kind, item.multiplicity) for item in PLANTED)
    assert set(cells.values()) == {3}
    assert len(cells) == 6
    assert len({item.index for item in PLANTED}) == 18


def test_the_draw_is_a_function_of_its_seed():
    assert PLANTED == draw_planted(100, per_cell=3, multiplicities=(5, 12), seed=1)
    assert PLANTED != draw_planted(100, per_cell=3, multiplicities=(5, 12), seed=2)


def test_each_image_fills_as_many_rows_as_planted():
    training = build_training_set(IMAGES, CLASSES, PLANTED)
    rows = Counter(training.group[training.rows].tolist())
    multiplicity = {item.index: item.multiplicity for item in PLANTED}
    assert rows == {index: multiplicity.get(index, 1) for index in range(100)}


def test_variants_share_the_rows_and_belong_to_their_image():
    training = build_training_set(IMAGES, CLASSES, PLANTED)
    shown = Counter(training.rows.tolist())
    for item in PLANTED:
        pictures = [p for p in shown if training.group[p] == item.index]
        expected = {"exact": 1, "near": 3, "flipped": 2}[item.kind]
        assert len(pictures) == expected
        counts = [shown[p] for p in pictures]
        assert max(counts) - min(counts) <= 1
        assert item.index in pictures


def test_variants_are_what_their_kind_says():
    image = IMAGES[0]
    assert build_variants(image, "exact") == []
    assert torch.equal(build_variants(image, "flipped")[0], image.flip(-1))
    crop, darker = build_variants(image, "near")
    assert crop.shape == image.shape
    assert not torch.equal(crop, image)
    assert torch.equal(darker, (image.float() * 0.75).round().to(torch.uint8))


def test_the_clean_twin_shows_each_image_once():
    training = build_training_set(IMAGES, CLASSES, ())
    assert torch.equal(training.rows, torch.arange(100))
    assert torch.equal(training.images, IMAGES)


def test_more_than_there_is_cannot_be_planted():
    with pytest.raises(BadInputError, match="Cannot plant 102"):
        draw_planted(100, per_cell=17, multiplicities=(1, 2), seed=0)
