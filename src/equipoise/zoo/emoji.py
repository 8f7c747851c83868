"""The small pictures that emoji scenes are made of: one a noun and vendor, 64 px, transparent.

They are Google's Noto Emoji (Apache 2.0) and Twitter's Twemoji (CC BY 4.0), as npm's
`emoji-datasource-google` and `emoji-datasource-twitter` hold them. `models/emoji/sources.json`
says for every file the code point, the package and the hash; `benchmarks/fetch_emoji.py` copies
them again. The nouns were chosen by eye before anything was trained: a person can name them, both
vendors draw the same thing, and none looks alike when it is turned.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from equipoise.errors import BadInputError

SOURCES = Path(__file__).parent / "models" / "emoji"
VENDORS = ("google", "twitter")
SOURCE_SIDE = 64  # px


@cache
def list_nouns() -> tuple[str, ...]:
    """List the nouns, in the order that classifiers number them."""
    return tuple(_read_sources()["nouns"])


@cache
def load_emoji(noun: str, vendor: str) -> Image.Image:
    """Load one picture, its colours multiplied by its opacity (Pillow's mode "RGBa").

    Raises:
        BadInputError: for an unknown noun or vendor; names what there is.
    """
    if noun not in list_nouns() or vendor not in VENDORS:
        raise BadInputError(
            f'There is no "{vendor} {noun}" among the emoji. Vendors: {", ".join(VENDORS)}; '
            f"nouns: {', '.join(list_nouns())}."
        )
    with Image.open(SOURCES / vendor / f"{noun}.png") as picture:
        return picture.convert("RGBA").convert("RGBa")


def verify_sources() -> list[str]:
    """Compare every file with the hash it was fetched with; return those that differ."""
    return [
        f"{row['vendor']}/{row['noun']}.png"
        for row in _read_sources()["pictures"]
        if _hash_file(SOURCES / row["vendor"] / f"{row['noun']}.png") != row["sha256"]
    ]


@cache
def _read_sources() -> dict[str, Any]:
    return json.loads((SOURCES / "sources.json").read_text())


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
