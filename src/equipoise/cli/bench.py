"""`equipoise bench`: detectors side by side where the truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.output import Count, Device, Json, emit, name_run, show_rate, tabulate
from equipoise.errors import BadInputError

if TYPE_CHECKING:
    from equipoise.bench.demo import DemoParts

HEAD = ["detector", "AUROC", "clean twin", "copies found", "false", "passes", "ms an item"]


def bench(
    *,
    models: str = "zoo:edm-fashion,zoo:dit-fashion",
    detectors: str = "",
    seed: int = 0,
    num_samples: Count | None = None,
    full: bool = False,
    prompts: Path | None = None,
    negatives: Path | None = None,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Compare detectors on models whose copies are known, or by two lists of prompts.

    Sigma and sign of every detector are chosen on copies of half of the planted images, its
    threshold is set on novel outputs of the same stream, and everything is reported on copies of
    the other half and on novel outputs of another stream. Detectors that need what a model does
    not have are skipped, with the reason.

    With --prompts and --negatives the model may be any text-to-image model; one output is drawn a
    prompt, and the truth is what the lists say.

    Args:
        models: Models of the zoo, separated by commas; with --prompts one model, from anywhere.
        detectors: Names of detectors, separated by commas; default all.
        seed: Seed of the outputs.
        num_samples: Outputs of each of the two streams of a model, without --prompts; default 600
            to 1000, by what one costs.
        full: Add other trainings of the recipes, earlier saves, changed pictures and settings, and
            out-of-domain negatives.
        prompts: Prompts said to be memorized: one a line, or a CSV file with a column of them.
        negatives: Prompts said not to be, from the same source if possible.
        out: Run folder to write; default runs/bench-TIME.
    """
    from equipoise.auditing.claim import read_claim
    from equipoise.bench.comparison import run_bench, run_prompted_bench
    from equipoise.report import render_report

    folder = out or name_run("bench")
    names, chosen = _split(models), _split(detectors)
    lists = _pair_lists(names, prompts, negatives)
    if lists:
        claim = read_claim(names[0], **lists, device=device)
        run = run_prompted_bench(claim, folder, seed=seed, detectors=chosen)
    else:
        run = run_bench(
            _load_models(names, device=device, full=full), folder,
            seed=seed, detectors=chosen, num_samples=num_samples, full=full,
        )  # fmt: skip
    report = render_report(run.path)
    rows, warnings = run.record.results["rows"], run.record.results["warnings"]
    document = {
        "rows": rows,
        "trials": run.record.results["trials"],
        "warnings": warnings,
        "run": str(run.path),
        "report": str(report),
        "seconds": run.record.cost["seconds"],
    }
    emit(document, "\n".join([*warnings, _describe(rows, report)]), as_json=as_json)


def _pair_lists(
    models: list[str], prompts: Path | None, negatives: Path | None
) -> dict[str, Path] | None:
    """Return both lists of prompts; None where none is given."""
    if prompts is None and negatives is None:
        return None
    if prompts is None or negatives is None or len(models) != 1:
        raise BadInputError(
            "A comparison by prompts needs --prompts FILE, said to be memorized, --negatives "
            "FILE, said not to be, and one model: --models MODEL."
        )
    return {"prompts": prompts, "negatives": negatives}


def _load_models(names: list[str], *, device: str, full: bool) -> "list[DemoParts]":
    """Load each model once, with the other trainings of its recipe where all is asked for."""
    from equipoise.bench.parts import list_trainings, load_parts

    wanted = [one for name in names for one in (list_trainings(name) if full else [name])]
    return [load_parts(name, device=device) for name in dict.fromkeys(wanted)]


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
        show_rate(row["clean_twin_auroc"]) if row["clean_twin_auroc"] else "no twin",
        show_rate(row["tpr_at_1pct_fpr"]),
        f"{row['fpr']['value']:.3f}",
        str(row["evaluations"]),
        f"{1000 * row['seconds_per_item']:.1f}",
    ]
