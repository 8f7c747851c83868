"""Write the figures of `equipoise monitor demo` as a page.

    .venv/bin/equipoise monitor demo --seed 3 --out runs/monitor-demo/3
    .venv/bin/equipoise monitor demo --seed 4 --out runs/monitor-demo/4
    .venv/bin/python benchmarks/monitor_demo.py runs/monitor-demo/* > docs/figures-monitor-demo.md

Every run folder gives a section. The recipes and the rates were tuned on seed 0,
and what is weighed was chosen on seeds 0 to 2.
"""

import sys
from pathlib import Path

from machine import describe_machine

from equipoise.bench.interval import exact_rate
from equipoise.monitoring.monitor import MonitorSpec
from equipoise.runs import load_run

STEPS = ["model", "alarm", "first copy", "lowest validation loss", "lowest ICR", "twin's alarm",
         "false stops"]  # fmt: skip
NAMES = ["model", "copies at the end", "copied planted images", "of these named",
         "named, planted, no copy seen", "false names", "names of the twin"]  # fmt: skip
COSTS = ["model", "training, s", "checks, s", "outputs, s", "the other rules, s", "twin, s"]


def tabulate(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tell_steps(model: dict) -> list[str]:
    """Write when what happened."""
    beside = model["beside"]
    steps = [model["alarm_step"], model["first_copy_step"], beside["validation_stop"],
             beside["icr_stop"], model["clean_twin_alarm"]]  # fmt: skip
    told = ["never" if step is None else str(step) for step in steps]
    return [tell_name(model), *told, tell_rate(model["false_stop"])]


def tell_names(model: dict) -> list[str]:
    """Write which images were named."""
    copied, right = model["copied"], model["named_right"]
    named = tell_rate(exact_rate(right, copied)) if copied else "-"
    false = tell_rate(exact_rate(model["false_names"], model["named"])) if model["named"] else "-"
    return [
        tell_name(model), f"{model['copies']:.3f}", f"{copied} of {model['planted']}",
        f"{right} of {copied}: {named}", str(model["named_not_copied"]),
        f"{model['false_names']} of {model['named']}: {false}", str(model["clean_twin_names"]),
    ]  # fmt: skip


def tell_costs(model: dict) -> list[str]:
    """Write where the time went."""
    parts = [model["seconds"][name] for name in ("training", "monitor", "outputs", "beside")]
    times = [*parts, sum(model["twin_seconds"].values())]
    return [tell_name(model), *(f"{seconds:.0f}" for seconds in times)]


def tell_name(model: dict) -> str:
    """Write the name of a model and how long it was trained."""
    return f"`{model['model']}`, {model['steps']} steps"


def tell_rate(rate: dict) -> str:
    """Write a rate with its interval and its n."""
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f}), n = {rate['n']}"


def write_section(folder: Path) -> None:
    """Print what one run showed."""
    record = load_run(folder).record
    models, provenance = record.results["models"], record.provenance
    watched = load_run(folder / models[0]["model"]).record
    print(f"## Seed {record.spec['seed']}\n")
    print(
        f"{describe_machine(provenance)}; two trainings at a time with one thread each, beside "
        "other work, "
        f"{record.cost['seconds']:.0f} s in all. {record.spec['checks']} checks of each training, "
        f"{record.spec['outputs']} outputs at each; names at an expected share of false ones of "
        f"{watched.spec['fdr']:.0%}.\n"
    )
    print(tabulate(STEPS, [tell_steps(model) for model in models]))
    print(tabulate(NAMES, [tell_names(model) for model in models]))
    print(tabulate(COSTS, [tell_costs(model) for model in models]))


def main(folders: list[Path]) -> None:
    """Print the page."""
    print("# Figures of the monitor's rehearsal\n")
    print(
        "`equipoise monitor demo`: short trainings whose copies are known, and their clean twins, "
        "under [a monitor](monitor.md). The recipes, the sampler and the rates were tuned on seed "
        "0, what is weighed was chosen on seeds 0 to 2 ([table](figures-monitor-evidence.md)); "
        "another seed has other weights, batches and planted images. Steps are those of the "
        "first check with an alarm or a copy, and of the lowest validation loss and ICR (never: "
        "still falling at the end). Names are those of the last check. "
        "False stops: over all checks, among relabellings of the images that are not planted and "
        f"those held out; promised {MonitorSpec(1).false_stops:.0%}. Intervals are exact, 95 %.\n"
    )
    for folder in folders:
        write_section(folder)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
