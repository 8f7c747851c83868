"""Entries of the made pages in the menu of zensical.toml, between two marks."""

from pathlib import Path

import detector_pages
from equipoise.zoo.recipe import RECIPES

CONFIG = Path("zensical.toml")
START, END = "  # made by `make pages`\n", "  # end of what `make pages` made\n"


def build(root: Path) -> dict[Path, str]:
    """Put a section for the detectors and one for the zoo into the menu."""
    before, rest = (root / CONFIG).read_text().split(START)
    docs = Path("docs")
    detectors = {"All detectors": detector_pages.OVERVIEW.relative_to(docs)} | {
        type(example).__name__: detector_pages.locate(example).relative_to(docs)
        for example in detector_pages.EXAMPLES
    }
    zoo = {"All models": Path("zoo.md")} | {name: Path("zoo") / f"{name}.md" for name in RECIPES}
    made = _list_entries("Detectors", detectors) + _list_entries("The zoo", zoo)
    return {CONFIG: f"{before}{START}{made}{END}{rest.split(END)[1]}"}


def _list_entries(title: str, entries: dict[str, Path]) -> str:
    lines = [f'    {{ "{name}" = "{path.as_posix()}" }},' for name, path in entries.items()]
    return "\n".join([f'  {{ "{title}" = [', *lines, "  ] },", ""])
