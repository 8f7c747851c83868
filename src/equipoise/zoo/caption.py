"""Captions of emoji scenes: attributes to words, and words back to attributes.

    a SIZE VENDOR NOUN, CELL, on COLOUR

as in "a large google apple, top left, on blue". Every word stands for one thing, so that a
tokenizer of whole words loses nothing; the nuisances have no words.
"""

import re

from equipoise.errors import BadInputError
from equipoise.zoo.emoji import VENDORS, list_nouns
from equipoise.zoo.scene import CELLS, COLOURS, SIZES, Attributes

GRAMMAR = re.compile(r"a (\w+) (\w+) (\w+), (\w+(?: \w+)?), on (\w+)")


def write_caption(attributes: Attributes) -> str:
    """Say in words what a scene shows."""
    return (
        f"a {attributes.size} {attributes.vendor} {attributes.noun}, {attributes.cell}, "
        f"on {attributes.colour}"
    )


def read_caption(caption: str) -> Attributes:
    """Return what a caption asks for.

    Raises:
        BadInputError: when it does not follow the grammar, or a word is unknown.
    """
    match = GRAMMAR.fullmatch(caption)
    size, vendor, noun, cell, colour = match.groups() if match else ("",) * 5
    known = (
        size in SIZES and vendor in VENDORS and noun in list_nouns()
        and cell in CELLS and colour in COLOURS
    )  # fmt: skip
    if not known:
        raise BadInputError(
            f'Cannot read the caption "{caption[:80]}": it must be "a SIZE VENDOR NOUN, CELL, on '
            f'COLOUR" with SIZE {"/".join(SIZES)}, VENDOR {"/".join(VENDORS)}, CELL '
            f"{'/'.join(CELLS)}, COLOUR {'/'.join(COLOURS)} and NOUN {'/'.join(list_nouns())}."
        )
    return Attributes(noun, vendor, colour, size, cell)


def list_words() -> list[str]:
    """List every word of every caption, the comma among them, in a fixed order."""
    cell_words = [word for cell in CELLS for word in cell.split()]
    words = ["a", "on", ",", *SIZES, *VENDORS, *COLOURS, *cell_words, *list_nouns()]
    return list(dict.fromkeys(words))
