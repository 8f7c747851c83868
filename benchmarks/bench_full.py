"""Write the page of a full comparison from its run folder.

equipoise bench --full --models zoo:edm-fashion,zoo:dit-fashion --out RUN
python benchmarks/bench_full.py RUN > docs/bench-full.md
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine import describe_machine

from equipoise.bench.markdown import build_table, show_rate
from equipoise.report.wording import format_words
from equipoise.runs import load_run

HEAD = """# A full bench

`{command}`: {minutes:.0f} minutes.
{machine}; other work ran beside. What the columns are: [the command](commands.md). Noise
level, sign and threshold of every detector are chosen on the selection half of the planted images, everything is reported on
the other half and on outputs from other noise; a model with another letter is another training, with other planted images;
`@` is an earlier save, on which planted training images are told from held-out ones."""
TRIALS = """
## Changed pictures and settings

AUROC, then the share of copies and of novel outputs above the threshold that was set on pictures as they came out of the model
(promised: 1 %), each with its 95 % interval."""


def main(folder: Path) -> None:
    """Print the page."""
    record = load_run(folder).record
    results = record.results
    minutes = record.cost["seconds"] / 60
    command = record.provenance["command"].split(" --json")[0].split(" --out")[0]
    machine = describe_machine(record.provenance)
    print(HEAD.format(command=command, minutes=minutes, machine=machine))
    print(f"\n## Detectors\n\n{build_table(results['rows'])}")
    print(TRIALS)
    for model in dict.fromkeys(row["model"] for row in results["trials"]):
        print(f"\n`{model}`\n")
        print(
            "| detector | trial | AUROC | copies found | false positives |\n|---|---|---|---|---|"
        )
        for row in results["trials"]:
            if row["model"] == model:
                print(write_trial(row))
    print("\n## Time\n\n| part | seconds |\n|---|---|")
    for name, cost in record.cost["parts"].items():
        print(f"| {name} | {cost['seconds']:.0f} |")


def write_trial(row: Mapping[str, Any]) -> str:
    """Write a line of the table of trials."""
    rates = [row["auroc"], row["tpr_at_1pct_fpr"], row["fpr"]]
    shown = [show_rate(rate, digits=digits) for rate, digits in zip(rates, (3, 2, 3), strict=True)]
    return f"| {format_words(row['detector'])} | {row['trial']} | {' | '.join(shown)} |"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
