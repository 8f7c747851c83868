import base64
import io

import pyarrow as pa
import pytest
from PIL import Image

from equipoise.report import thumbnail
from equipoise.report.thumbnail import Thumbnails, build_thumbnail, load_thumbnails
from equipoise.runs import ITEM_COLUMNS, start_run, write_items


def draw(shade, size=(6, 4), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("L", size, shade).save(buffer, kind)
    return buffer.getvalue()


def test_the_bytes_of_a_small_png_are_kept():
    content = draw(90, (64, 64))
    assert base64.b64decode(build_thumbnail(content).removeprefix("data:image/png;base64,")) == (
        content
    )


@pytest.mark.parametrize(
    "content",
    [None, "text", 7, b"", b"<svg onload='go()'/>", b"\x89PNG\r\n\x1a\n", draw(9)[:18],
     draw(9, kind="GIF"), draw(9, (129, 4)), draw(9, (4, 60000)), draw(9) + b"\0" * 65536,
     draw(9)[:16] + b"\0" * 8 + draw(9)[24:], b" " + draw(9)],
    ids=lambda content: repr(content)[:20],
)  # fmt: skip
def test_anything_else_is_no_picture(content):
    assert build_thumbnail(content) == ""


def test_only_wanted_rows_are_read_each_with_its_own_picture(tmp_path, monkeypatch):
    run = start_run(tmp_path / "run", kind="audit", spec={}, provenance={})
    for part in range(3):
        rows = {name: ["x"] * 4 for name in ITEM_COLUMNS}
        if part != 1:  # pictures are optional
            rows |= {"thumbnail": [draw(40 * part + row) for row in range(4)]}
            rows |= {"nearest_thumbnail": [None, draw(200), None, None]}
        write_items(run, pa.table(rows), part=part)
    asked = []
    read = thumbnail.read_rows
    monkeypatch.setattr(thumbnail, "read_rows", lambda *a: asked.append(a[1]) or read(*a))
    found = load_thumbnails(run, [9, 1, 5, 1])
    assert set(found) == {1, 5, 9}
    assert found[1] == Thumbnails(build_thumbnail(draw(1)), build_thumbnail(draw(200)))
    assert found[5] == Thumbnails()
    assert found[9] == Thumbnails(build_thumbnail(draw(81)), build_thumbnail(draw(200)))
    assert found[9].size == len(found[9].sample) + len(found[9].nearest)
    assert asked == [("id", "thumbnail", "nearest_thumbnail", "heat")]
