"""Write the figures of `equipoise monitor demo` as a page.

    .venv/bin/equipoise monitor demo --out runs/monitor-demo
    .venv/bin/python benchmarks/monitor_demo.py runs/monitor-demo > docs/figures-monitor-demo.md
"""

import sys
from pathlib import Path

from equipoise.runs import load_run

HEAD = [
    "model", "alarm", "first copy", "lowest validation loss", "lowest ICR", "copied planted images",
    "of these named", "false names", "twin's alarm", "false stops", "training, s", "checks, s",
]  # fmt: skip


def build_row(model: dict) -> list[str]:
    """Write what one model showed."""
    steps = [
        model["alarm_step"], model["first_copy_step"],
        model["beside"]["validation_stop"], model["beside"]["icr_stop"],
    ]  # fmt: skip
    rate = model["false_stop"]
    return [
        f"`{model['model']}`, {model['steps']} steps",
        *("never" if step is None else str(step) for step in steps),
        f"{model['copied']} of {model['planted']}",
        f"{model['named_right']} of {model['copied']}",
        f"{model['false_names']} of {model['named']}",
        "never" if model["clean_twin_alarm"] is None else str(model["clean_twin_alarm"]),
        f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f}), n = {rate['n']}",
        f"{model['seconds']['training']:.0f}",
        f"{model['seconds']['monitor']:.0f}",
    ]


def main(folder: Path) -> None:
    """Print the page."""
    record = load_run(folder).record
    spec, provenance = record.spec, record.provenance
    print("# Figures of the monitor's rehearsal\n")
    print(
        f"`equipoise monitor demo`, seed {spec['seed']}: {spec['checks']} checks of each training, "
        f"{spec['outputs']} outputs drawn and labelled at each. Steps are those of the first check "
        "with an alarm or a copy, and of the lowest validation loss and ICR (never: still falling "
        "at the end). Names are those of the last check. False stops: over all checks, among "
        "relabellings of the images that are not planted and those held out; promised 0.05.\n"
    )
    print(
        f"Machine: {provenance['processor']}, torch {provenance['torch']}, {provenance['time'][:7]}; "
        f"two trainings at a time with one thread each, {record.cost['seconds']:.0f} s in all.\n"
    )
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for model in record.results["models"]:
        print("| " + " | ".join(build_row(model)) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
