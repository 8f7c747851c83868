"""Write the pages that are made from the code and from the cards: `make pages`.

    docs/commands.md               options of every command; the text around is written by hand
    docs/reference.md              public names, from their docstrings
    docs/detectors/*.md            a page a detector, from its card
    docs/zoo/*.md                  a page a model of the zoo, from its card
    docs/images/architecture.svg   the rooms, from the import rules and their docstrings
    zensical.toml                  their entries in the menu

`tests/test_pages.py` fails while one of them is not what this would write.
"""

from pathlib import Path

import architecture_map
import commands_page
import detector_pages
import menu
import reference_page
import zoo_pages

ROOT = Path(__file__).parent.parent
BUILDERS = (
    architecture_map.build, commands_page.build, reference_page.build, detector_pages.build,
    zoo_pages.build, menu.build,
)  # fmt: skip


def build_all(root: Path) -> dict[Path, str]:
    """Build every page that is made, by its path below `root`."""
    return {path: text for build in BUILDERS for path, text in build(root).items()}


def main() -> None:
    """Write them."""
    for path, text in build_all(ROOT).items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
