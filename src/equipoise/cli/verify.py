"""`equipoise verify`: does what an audit flagged still come out after a mitigation?"""

from pathlib import Path
from typing import Any

from equipoise.cli.output import Device, Json, Model, emit, name_run, show_rate, tabulate


def verify(
    run: Path,
    *,
    model: Model,
    audited: str | None = None,
    training: Path | None = None,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Generate what an audit flagged twice more, before and after a mitigation, and judge it.

    The judge is the denoising residual, which shares nothing with the detector of the audit.

    Args:
        run: Run folder of an audit of fresh outputs.
        model: The model after the mitigation: "zoo:NAME", a file or a folder.
        audited: Where the audited model lies now; default where the audit found it.
        training: Training images: generations are labelled by the nearest as well.
        out: Run folder to write; default runs/verify-TIME.
    """
    from equipoise.auditing.subject import open_subject
    from equipoise.auditing.verification import verify as verify_run
    from equipoise.runs import load_run

    folder = out or name_run("verify")
    known = load_run(run)
    before = open_subject(audited or str(known.record.spec.get("model")), device=device)
    after = open_subject(model, device=device)
    made = verify_run(known, before, after, folder, training=training)
    results = made.record.results
    document = results | {"run": str(folder), "report": str(folder / "report.html")}
    document |= {"seconds": made.record.cost["seconds"]}
    emit(document, _describe(results, folder), as_json=as_json)


def _describe(results: dict[str, Any], folder: Path) -> str:
    rows = [
        [
            name,
            show_rate(found["flagged"]),
            show_rate(found["copies"]) if "copies" in found else "",
        ]
        for name, found in results["rates"].items()
    ]
    table = tabulate(["generation", "flagged by the residual", "copies"], rows)
    return (
        f"{results['flagged']} flagged outputs, each generated again:\n\n{table}\n\n"
        f"report: {folder / 'report.html'}"
    )
