"""Run notebooks, each in a clean process, and write what their cells print and draw into them.

    python notebooks/run.py                      run all and write them
    python notebooks/run.py look_inside --check  run one; fail where a cell prints or draws nothing
                                                 although the committed one does

No Jupyter is needed: a cell is executed as it stands, its figures become PNG pictures.
"""

import argparse
import base64
import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DPI = 80


def run_notebook(notebook: dict[str, Any]) -> dict[str, Any]:
    """Execute the code cells in order and return the notebook with what they gave."""
    import matplotlib.pyplot as plt

    plt.show = lambda: None  # figures are collected after each cell
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = cell | {"execution_count": count, "outputs": run_cell(cell, names)}
        cells.append(cell)
    return notebook | {"cells": cells}


def run_cell(cell: dict[str, Any], names: dict[str, Any]) -> list[dict[str, Any]]:
    """Execute one cell; return what it printed, then its figures."""
    import matplotlib.pyplot as plt

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    text = printed.getvalue().splitlines(keepends=True)
    outputs: list[dict[str, Any]] = []
    if text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    for number in plt.get_fignums():
        picture = io.BytesIO()
        plt.figure(number).savefig(picture, format="png", dpi=DPI, bbox_inches="tight")
        shown = {"image/png": base64.b64encode(picture.getvalue()).decode()}
        outputs.append({"output_type": "display_data", "data": shown, "metadata": {}})
    plt.close("all")
    return outputs


def list_kinds(notebook: dict[str, Any]) -> list[list[str]]:
    """Say what kinds of output each code cell has."""
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[output["output_type"] for output in cell["outputs"]] for cell in codes]


def main() -> int:
    """Run one notebook here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help="one notebook, without its suffix; default all")
    parser.add_argument("--check", action="store_true", help="run, compare kinds, write nothing")
    asked = parser.parse_args()
    if asked.name is None:
        flags = ["--check"] if asked.check else []
        stems = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
        calls = ([sys.executable, __file__, stem, *flags] for stem in stems)
        return max(subprocess.run(call, check=False).returncode for call in calls)
    path = FOLDER / f"{asked.name}.ipynb"
    before = json.loads(path.read_text())
    after = run_notebook(before)
    if asked.check:
        return int(list_kinds(before) != list_kinds(after))
    path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
