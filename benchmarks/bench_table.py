"""Embed the table of a comparison in the README.

python benchmarks/bench_table.py RUN     take the figures of a run into docs/bench.json
python benchmarks/bench_table.py         write the table from docs/bench.json again
"""

import json
import sys
from pathlib import Path

from equipoise.bench.markdown import build_table, embed_table
from equipoise.runs import load_run

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "bench.json"
LEFT_OUT = ("roc", "by_kind", "by_multiplicity")


def take(folder: Path) -> None:
    """Write the figures of a finished run, without curves."""
    record = load_run(folder).record
    rows = [{k: v for k, v in row.items() if k not in LEFT_OUT} for row in record.results["rows"]]
    told = {"spec": record.spec, "seconds": record.cost["seconds"], "rows": rows}
    FIGURES.write_text(json.dumps(told, indent=1) + "\n")


def main() -> None:
    """Take a run's figures if one is given, and write the table into the README."""
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
    readme = ROOT / "README.md"
    rows = json.loads(FIGURES.read_text())["rows"]
    readme.write_text(embed_table(readme.read_text(), build_table(rows)))


if __name__ == "__main__":
    main()
