"""`equipoise sweep`: which site, sigma, pooling and statistic tell copies best."""

from datetime import datetime
from pathlib import Path

from equipoise.cli.output import Count, Device, Json, Model, emit, show_rate, tabulate


def sweep(
    *,
    model: Model = "zoo:edm-fashion",
    num_samples: Count = 1500,
    seed: int = 0,
    top: Count = 12,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Try site x sigma x pooling x statistic; choose on half of the planted images.

    The chosen combination is reported on copies of the other half, and on other novel outputs.

    Args:
        num_samples: Fresh outputs to draw.
        seed: Seed of the outputs.
        top: Combinations to print.
        out: Run folder to write; default runs/sweep-TIME.
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.bench.parts import load_parts
    from equipoise.bench.sweep import run_sweep
    from equipoise.report import render_report

    folder = out or Path("runs") / f"sweep-{datetime.now():%Y%m%d-%H%M%S}"
    model_ = load_parts(model, device=device).model
    run = run_sweep(model_, folder, seed=seed, num_samples=num_samples)
    results = run.record.results
    page = str(render_report(run.path))
    document = results | {"cells": results["cells"][:top], "run": str(run.path), "report": page}
    rows = [
        [
            _name_sites(cell["sites"]),
            f"{cell['sigma']:.3g}",
            cell["pooling"],
            cell["statistic"] + (" scaled" if cell["scaled_units"] else ""),
            f"{cell['sign']:+d}",
            f"{cell['selection_auroc']:.4f}",
            f"{cell['report_auroc']:.4f}",
        ]
        for cell in document["cells"]
    ]
    head = ["site", "sigma", "pooling", "statistic", "sign", "chosen on", "reported on"]
    text = "\n".join(
        [
            tabulate(head, rows),
            "",
            f"chosen: {', '.join(results['chosen']['sites'])}",
            f"AUROC {show_rate(results['auroc'])} on copies of images it was not chosen on",
            f"report: {page}",
        ]
    )
    emit(document, text, as_json=as_json)


def _name_sites(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"the {len(names)} default sites together"
