"""docs/images/architecture.svg: the rooms in the order in which they may import each other."""

import textwrap
import tomllib
from html import escape
from pathlib import Path

import equipoise
from docstring import parse_file, read_docstring

PICTURE = Path("docs/images/architecture.svg")
SOURCE = Path(equipoise.__file__).parent
WIDTH, HEIGHT, GAP = 900, 54, 6
LETTERS = 6.0
"""Width of a letter of the small text, px."""
STYLE = """
  .sheet { fill: #faf9f5 } .room { fill: #ffffff; stroke: #b9b4a7 }
  .name { font: 600 14px system-ui, sans-serif; fill: #22211e }
  .what { font: 11.5px system-ui, sans-serif; fill: #55524a }
"""


def build(root: Path) -> dict[Path, str]:
    """Draw a row of boxes for every layer of the import rules in pyproject.toml."""
    rows = list_layers(root)
    height = len(rows) * (HEIGHT + GAP) + GAP
    boxes = [
        _draw_box(room, column, len(row), place)
        for place, row in enumerate(rows)
        for column, room in enumerate(row)
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Rooms of equipoise; each imports only from rooms below it">'
    )
    sheet = f'<rect class="sheet" width="{WIDTH}" height="{height}" rx="8"/>'
    return {PICTURE: "\n".join([head, f"<style>{STYLE}</style>", sheet, *boxes, "</svg>", ""])}


def list_layers(root: Path) -> list[list[str]]:
    """Read the layers of the import rules, from the top; rooms of one layer are independent."""
    config = tomllib.loads((root / "pyproject.toml").read_text())
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[room.strip() for room in layer.split("|")] for layer in layers if layer[0] != "_"]


def _draw_box(room: str, column: int, count: int, place: int) -> str:
    width = (WIDTH - GAP * (count + 1)) / count
    left, top = GAP + column * (width + GAP), GAP + place * (HEIGHT + GAP)
    lines = textwrap.wrap(_describe(room), int((width - 24) / LETTERS))[:2]
    spans = [
        f'<text class="what" x="{left + 12:.0f}" y="{top + 33 + 13 * number:.0f}">{escape(line)}'
        "</text>"
        for number, line in enumerate(lines)
    ]
    return "\n".join(
        [
            f'<rect class="room" x="{left:.0f}" y="{top}" width="{width:.0f}" height="{HEIGHT}" '
            'rx="5"/>',
            f'<text class="name" x="{left + 12:.0f}" y="{top + 18}">{room}</text>',
            *spans,
        ]
    )


def _describe(room: str) -> str:
    """Return the first sentence of what a room says of itself."""
    path = SOURCE / room / "__init__.py"
    module = parse_file(path if path.is_file() else SOURCE / f"{room}.py")
    return read_docstring(module).summary
