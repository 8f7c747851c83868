"""`equipoise monitor`: trainings that are watched."""

from pathlib import Path
from typing import Any

from cyclopts import App

from equipoise.cli.output import Json, emit, name_run, show_rate, tabulate

monitor = App(name="monitor", help="Watch a training for memorization.")

HEAD = ["model", "alarm", "first copy", "copied", "named", "false", "twin's alarm",
        "lowest validation", "lowest ICR"]  # fmt: skip


@monitor.command
def demo(
    *,
    models: str = "edm-short,dit-short",
    seed: int = 0,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Train two small models and their clean twins under a monitor, with known copies.

    Takes minutes on two cores. Outputs are drawn and labelled at every check, so that the step of
    the first copy stands beside the step of the alarm.

    Args:
        models: Which to train, separated by commas.
        seed: Added to the seeds of the recipes: other weights, batches and planted images.
        out: Run folder to write; default runs/monitor-TIME.
    """
    from equipoise.monitoring.rehearsal import run_rehearsals
    from equipoise.monitoring.short import find_short

    recipes = find_short([name.strip() for name in models.split(",")])
    folder = out or name_run("monitor")
    run = run_rehearsals(folder, seed=seed, recipes=recipes)
    found = run.record.results["models"]
    document = {"models": found, "run": str(folder), "seconds": run.record.cost["seconds"]}
    emit(document, _describe(found, folder), as_json=as_json)


def _describe(models: list[dict[str, Any]], folder: Path) -> str:
    rows = [
        [
            model["model"],
            _show_step(model["alarm_step"]),
            _show_step(model["first_copy_step"]),
            f"{model['copied']} of {model['planted']}",
            f"{model['named_right']} of {model['copied']}",
            f"{model['false_names']} of {model['named']}",
            _show_step(model["clean_twin_alarm"]),
            _show_step(model["beside"]["validation_stop"]),
            _show_step(model["beside"]["icr_stop"]),
        ]
        for model in models
    ]
    rates = [f"{m['model']}: false stops {show_rate(m['false_stop'])} of "
             f"{m['false_stop']['n']} relabellings" for m in models]  # fmt: skip
    return "\n".join([tabulate(HEAD, rows), "", *rates, "", f"runs: {folder}"])


def _show_step(step: int | None) -> str:
    return "never" if step is None else f"step {step}"
