"""The picture of the phase diagrams: the first heat map of either, as a PNG.

    equipoise theory phase --out runs/phase
    .venv/bin/python benchmarks/theory_picture.py runs/phase docs/images/theory.png

Draws what the page of the run draws, in the light colours of its style sheet; needs `chromium`.
"""

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from equipoise.report.phase import build_phase
from equipoise.runs import load_run

TITLES = {"units": "Images that are columns, %", "copies": "Duplicates that are columns, %"}
WIDTH, HEIGHT = 930, 410
PAGE = """<!doctype html><meta charset="utf-8"><style>{style}
body {{ background: var(--surface); padding: 1rem 1.5rem; }}
main {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; align-items: end; }}
h3 {{ margin: 0 0 .4rem; }} svg {{ width: 100%; height: auto; }}</style>
<main>{maps}</main>
<p class="note">Blue: where the theory stores half of them. Dashed: p = n.</p>"""


def draw_picture(run: Path, picture: Path) -> None:
    """Write the picture of a run of kind "phase"."""
    diagrams = build_phase(load_run(run))["diagrams"]
    maps = "".join(f"<div><h3>{TITLES[d.name]}</h3>{d.stored}</div>" for d in diagrams)
    style = files("equipoise.report").joinpath("templates/style.css").read_text()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(PAGE.format(style=style, maps=maps))
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture.absolute()}",
                page.as_uri(),
            ],
            check=True, capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    draw_picture(Path(sys.argv[1]), Path(sys.argv[2]))
