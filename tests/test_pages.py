"""The pages that are made from the code and from the cards are what `make pages` would write."""

from pathlib import Path

import pytest

import write_pages

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pages():
    return write_pages.build_all(ROOT)


def test_every_made_page_is_fresh(pages):
    stale = [str(path) for path, text in pages.items() if _read(ROOT / path) != text]
    assert stale == [], f"run `make pages`: {stale}"


def test_no_page_is_left_of_what_is_gone(pages):
    for folder in ("docs/detectors", "docs/zoo"):
        there = {path.relative_to(ROOT) for path in (ROOT / folder).glob("*.md")}
        assert there == {path for path in pages if path.parent == Path(folder)}


def test_an_option_without_a_description_is_refused():
    from cyclopts import App

    import commands_page

    app = App()

    @app.command
    def look(*, sigma: float = 0.1):
        """Look."""

    with pytest.raises(ValueError, match="--sigma has no description"):
        commands_page.describe("look", app["look"])


def test_a_command_without_a_section_is_refused(tmp_path):
    import commands_page

    (tmp_path / "docs").mkdir()
    whole = (ROOT / "docs" / "commands.md").read_text()
    (tmp_path / "docs" / "commands.md").write_text(whole.replace("## equipoise audit", "## audit"))
    with pytest.raises(ValueError, match="See: audit"):
        commands_page.build(tmp_path)


def test_an_argument_that_a_docstring_leaves_out_is_refused():
    import ast

    import reference_page
    from docstring import read_docstring

    source = 'def look(x, y):\n    """Look.\n\n    Args:\n        x: Where.\n    """\n'
    node = ast.parse(source).body[0]
    with pytest.raises(ValueError, match="differ: y"):
        reference_page._list_arguments(read_docstring(node), node)


def test_the_architecture_tells_of_every_room():
    import re

    from architecture_map import list_layers

    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [room for layer in list_layers(ROOT) for room in layer]
    assert sorted(rooms) == sorted(re.findall(r"^\| (\w+) \|", page, re.M)[1:])  # without the head


def _read(path):
    return path.read_text() if path.is_file() else None
