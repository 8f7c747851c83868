import numpy as np
import pytest

from equipoise.errors import BadInputError
from equipoise.zoo.emoji import VENDORS, list_nouns, load_emoji, verify_sources


def test_every_file_is_the_one_that_was_fetched():
    assert verify_sources() == []


def test_there_is_a_picture_for_every_noun_and_vendor():
    assert 48 <= len(list_nouns()) <= 64
    for noun in list_nouns():
        for vendor in VENDORS:
            alpha = np.asarray(load_emoji(noun, vendor))[..., 3]
            assert alpha.shape == (64, 64)
            assert 0.1 < (alpha > 0).mean() < 1, noun


def test_colours_are_multiplied_by_opacity():
    pixels = np.asarray(load_emoji("apple", "google"))
    assert (pixels[..., :3] <= pixels[..., 3:]).all()


def test_an_unknown_noun_is_told_with_the_known_ones():
    with pytest.raises(BadInputError, match="apple"):
        load_emoji("spoon", "google")
