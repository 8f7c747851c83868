import re

import pytest

from equipoise.errors import BadInputError
from equipoise.zoo.caption import list_words, read_caption, write_caption
from equipoise.zoo.scene import Attributes, list_attributes


def test_a_caption_reads_like_this():
    apple = Attributes("apple", "google", "blue", "large", "top left")
    assert write_caption(apple) == "a large google apple, top left, on blue"


def test_reading_is_the_inverse_of_writing_and_words_are_all_known():
    words = set(list_words())
    used = set()
    for attributes in list_attributes()[::7]:
        caption = write_caption(attributes)
        assert read_caption(caption) == attributes
        used |= set(re.findall(r"\w+|,", caption))
    assert used == words
    assert len(words) == len(list_words())


@pytest.mark.parametrize(
    "caption",
    [
        "", "an apple", "a large google spoon, top left, on blue",
        "a large apple google, top left, on blue", "a large google apple, middle, on blue",
        "a large google apple, top left, on blue ", "a huge google apple, centre, on blue",
    ],
)  # fmt: skip
def test_what_is_no_caption_is_refused(caption):
    with pytest.raises(BadInputError, match="NOUN"):
        read_caption(caption)
