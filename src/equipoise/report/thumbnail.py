"""The small pictures of an audit, taken from the items only for the rows that are shown.

They are bytes from a run folder, which others may have changed. The page never decodes them; it
accepts what starts like a small PNG (signature, and sides in the header) and hands it to
the browser, where the content security policy lets a picture be nothing but a picture.
"""

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from equipoise.report.item import read_rows
from equipoise.runs import ITEM_COLUMNS, Run

COLUMNS = ("thumbnail", "nearest_thumbnail", "heat")
START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
"""Signature of a PNG and the head of its first chunk; width and height follow."""
MAX_SIDE = 128
MAX_BYTES = 64 * 1024
"""Larger ones are not ours: 64 x 64 pixels of noise with alpha take 17 kB."""


@dataclass(frozen=True)
class Thumbnails:
    """The pictures of an item, as data URIs; empty if none."""

    sample: str = ""
    nearest: str = ""
    """Its nearest training image."""
    heat: str = ""
    """Where its score comes from."""

    @property
    def size(self) -> int:
        """Characters they take on the page."""
        return len(self.sample) + len(self.nearest) + len(self.heat)


def load_thumbnails(run: Run, rows: Iterable[int]) -> dict[int, Thumbnails]:
    """Read the thumbnails of these rows, holding one part of the items at a time.

    Raises:
        RunError: when the items are missing or damaged.
    """
    return {
        row: Thumbnails(*(build_thumbnail(entry.get(name)) for name in COLUMNS))
        for row, entry in read_rows(run, (ITEM_COLUMNS[0], *COLUMNS), rows)
    }


def build_thumbnail(content: object) -> str:
    """Turn the bytes of a small PNG into a data URI; anything else becomes empty."""
    if not isinstance(content, bytes) or len(content) > MAX_BYTES:
        return ""
    if not content.startswith(START) or len(content) < len(START) + 8:
        return ""
    width, height = struct.unpack_from(">II", content, len(START))
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
