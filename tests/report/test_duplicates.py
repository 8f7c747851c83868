import io

import pyarrow as pa
import pytest
from PIL import Image

from equipoise.report import duplicates, render_report
from equipoise.report.duplicates import build_duplicates, build_sentence
from equipoise.runs import ITEM_COLUMNS, finish_run, start_run, write_items


def draw(level):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "PNG")
    return buffer.getvalue()


def make_run(path):
    """A group of three, one of two, a single picture and a file that could not be read."""
    groups, sizes = [0, 1, 0, 1, 0, 2, None], [3, 2, 3, 2, 3, 1, None]
    kinds = ["exact", "near", "exact", "near", "flipped", None, None]
    table = {name: [None] * 7 for name in ITEM_COLUMNS} | {
        "id": list("abcdefg"), "source": [f"<i>{n}</i>.png" for n in range(7)],
        "error": [None] * 6 + ["truncated"], "group": groups, "group_size": sizes, "kind": kinds,
        "ratio": [0.0, 0.2, 0.0, 0.2, 0.0, 0.8, None],
        "thumbnail": [draw(40 * n) for n in range(5)] + [None, None],
    }  # fmt: skip
    run = start_run(
        path,
        kind="duplicates",
        provenance={},
        spec={"training": "<u>t</u>", "size": 32, "picture_rule": {"alpha": "black"}},
    )
    write_items(run, pa.table(table))
    return finish_run(run, results={}, cost={"seconds": 1.0})


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_groups_are_counted_from_the_items_the_largest_first(run):
    built = build_duplicates(run)
    assert built["sentence"] == "5 of 6 pictures (83.3\u00a0%) are repeated, in 2 groups."
    assert [family.size for family in built["families"]] == [3, 2]
    assert [m.item.row for f in built["families"] for m in f.members] == [0, 2, 4, 1, 3]
    assert all(m.thumbnails.sample for f in built["families"] for m in f.members)
    assert built["others"] is None


def test_groups_beyond_the_budget_are_lines(run, monkeypatch):
    monkeypatch.setattr(duplicates, "BUDGET", 400)
    built = build_duplicates(run)
    shown = len(built["families"])
    assert shown < 2
    assert built["others"].count == (5 if shown == 0 else 2)


def test_the_page_shows_pictures_and_escapes_names(run):
    page = render_report(run.path).read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "<i>" not in page.replace('<i class="', "")
    assert "&lt;u&gt;t" in page
    assert "truncated" in page
    assert "the same pixels" in page


def test_nothing_repeated_and_nothing_read_are_said():
    assert build_sentence(0, 0, 0) == "No picture could be read."
    assert build_sentence(0, 5, 0).startswith("Nothing is repeated")
