"""`equipoise demo`: sample a zoo model, find its copies, write a report."""

from pathlib import Path
from typing import Any

from equipoise.cli.output import Device, Json, Model, emit, name_run, show_rate, tabulate

ANSWERS = (
    "auroc",
    "tpr_at_1pct_fpr",
    "fpr",
    "clean_twin_auroc",
    "planted_minus_twin",
    "partly_content",
    "baselines",
    "told_nothing",
    "paper_statistic",
    "tpr_at_same_fpr",
    "oracle",
    "with_grey_as_negative",
    "labels",
    "verdicts",
)


def demo(
    *,
    model: Model = "zoo:edm-fashion",
    seed: int = 0,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Sample a zoo model afresh, find the copies among its outputs, and write a report.

    Args:
        seed: Seed of the outputs; shares no noise with the training or the calibration.
        out: Run folder to write; default runs/demo-TIME.
    """
    from equipoise.bench.demo import run_demo
    from equipoise.bench.parts import load_parts
    from equipoise.report import render_report

    folder = out or name_run("demo")
    parts = load_parts(model, device=device)
    run = run_demo(parts, folder, seed=seed, num_samples=parts.model.recipe.demo_samples)
    report = render_report(run.path)
    results = run.record.results
    document = {key: results[key] for key in ANSWERS} | {
        "report": str(report),
        "run": str(run.path),
        "seconds": run.record.cost["seconds"],
    }
    emit(document, _describe(document), as_json=as_json)


def _describe(document: dict[str, Any]) -> str:
    fpr, labels = document["fpr"], document["labels"]
    flagged = document["verdicts"].get("memorized", 0)
    told = {"told_nothing": document["told_nothing"]} if document["told_nothing"] else {}
    areas = {
        "spikiness": document["auroc"],
        **told,
        "paper_statistic": document["paper_statistic"],
        **document["baselines"],
        "clean twin, same images": document["clean_twin_auroc"],
        "oracle (needs the training set)": document["oracle"],
    }
    found = document["tpr_at_same_fpr"]
    rows = [
        [name.replace("_", " "), show_rate(area), show_rate(found[name]) if name in found else ""]
        for name, area in areas.items()
    ]
    kept = "kept" if fpr["kept"] else "NOT kept"
    return "\n".join(
        [
            f"{flagged} outputs are flagged as memorized. By the training set: "
            f"{labels['copy']} copies, {labels['grey']} grey, {labels['novel']} novel.",
            f"share of copies found: {show_rate(document['tpr_at_1pct_fpr'])}",
            f"false positives: {show_rate(fpr)} of {fpr['n']}; promise {fpr['promised']:g} {kept}",
            *(
                ["partly content: the clean twin tells these images too"]
                * document["partly_content"]
            ),
            "",
            tabulate(["", "AUROC", f"copies found at {fpr['promised']:.0%} FPR"], rows),
            "",
            f"report: {document['report']}   ({document['seconds']:.0f} s)",
        ]
    )
