"""`equipoise bench`: detectors side by side on models whose copies are known."""

from datetime import datetime
from pathlib import Path
from typing import Any

from equipoise.cli.output import Count, Device, Json, emit, show_rate, tabulate

HEAD = ["detector", "AUROC", "clean twin", "copies found", "false", "passes", "ms an item"]


def bench(
    *,
    models: str = "zoo:edm-fashion,zoo:dit-fashion",
    detectors: str = "",
    seed: int = 0,
    num_samples: Count = 1000,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Compare detectors on models whose copies are known.

    Sigma and sign of every detector are chosen on copies of half of the planted images, its
    threshold is set on novel outputs of the same stream, and everything is reported on copies of
    the other half and on novel outputs of another stream. Detectors that need what a model does
    not have are skipped, with the reason.

    Args:
        models: Models of the zoo, separated by commas.
        detectors: Names of detectors, separated by commas; default all.
        seed: Seed of the outputs.
        num_samples: Outputs of each of the two streams of a model.
        out: Run folder to write; default runs/bench-TIME.
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.bench.comparison import run_bench
    from equipoise.bench.parts import load_parts
    from equipoise.report import render_report

    folder = out or Path("runs") / f"bench-{datetime.now():%Y%m%d-%H%M%S}"
    run = run_bench(
        [load_parts(name, device=device) for name in _split(models)], folder,
        seed=seed, detectors=_split(detectors), num_samples=num_samples,
    )  # fmt: skip
    report = render_report(run.path)
    rows = run.record.results["rows"]
    document = {
        "rows": rows,
        "run": str(run.path),
        "report": str(report),
        "seconds": run.record.cost["seconds"],
    }
    emit(document, _describe(rows, report), as_json=as_json)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _describe(rows: list[dict[str, Any]], report: Path) -> str:
    blocks = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        used = sorted(
            (row for row in mine if row["reason"] is None), key=lambda row: -row["auroc"]["value"]
        )
        skipped = [f"  {row['detector']}: {row['reason']}" for row in mine if row["reason"]]
        blocks += [model, "", tabulate(HEAD, [_list_cells(row) for row in used]), ""]
        blocks += ["skipped", *skipped, ""] if skipped else []
    return "\n".join([*blocks, f"report: {report}"])


def _list_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["detector"].replace("_", " ") + (" (baseline)" if row["baseline"] else ""),
        show_rate(row["auroc"]),
        show_rate(row["clean_twin_auroc"]),
        show_rate(row["tpr_at_1pct_fpr"]),
        f"{row['fpr']['value']:.3f}",
        str(row["evaluations"]),
        f"{1000 * row['seconds_per_item']:.1f}",
    ]
