"""What `equipoise audit --adapter` prints."""

from pathlib import Path
from typing import Any

from equipoise.cli.output import emit
from equipoise.errors import BadInputError


def refuse_words(**words: object) -> None:
    """Refuse options that have no meaning with an adapter.

    Raises:
        BadInputError: naming the first that was given.
    """
    given = [name for name, value in words.items() if value is not None]
    if given:
        name = given[0].replace("_", "-")
        raise BadInputError(
            f"--adapter asks which --training images an adapter memorized; {name} has no meaning "
            "with it. Leave it out."
        )


def run_adapter(out: Path, *, model: str, as_json: bool, **words: Any) -> int:  # noqa: ANN401
    """Audit an adapter, write the page and print what was found.

    Args:
        out: Run folder.
        model: The base.
        as_json: Print JSON.
        words: See `build_adapter_audit`.
    """
    from equipoise.auditing.adapter import audit_adapter
    from equipoise.auditing.parts import build_adapter_audit
    from equipoise.report import render_report

    run = audit_adapter(build_adapter_audit(model, **words), out)
    report = render_report(run.path)
    found = run.read_items(["source", "q_value"]).to_pylist()
    fdr = run.record.results["fdr"]
    named = [r["source"] for r in found if r["q_value"] is not None and r["q_value"] <= fdr]
    document = run.record.results | {
        "run": str(run.path), "named_sources": named, "report": str(report),
        "seconds": run.record.cost["seconds"],
    }  # fmt: skip
    emit(document, _describe(document), as_json=as_json)
    return 0


def _describe(document: dict[str, Any]) -> str:
    lines = [
        f"{document['named']} of {document['training']} training images were learned more than "
        f"{document['held_out']} held-out ones explain; {document['fdr']:.0%} of the names may be "
        "false.",
        *(f"  {source}" for source in document["named_sources"]),
        "named at scale "
        + ", ".join(f"{entry['scale']:g}: {entry['named']}" for entry in document["scales"])
        + f"; nothing is named up to {document['recommended_scale']:g}",
    ]
    if document["failed"]:
        lines.append(f"{document['failed']} files could not be read.")
    if document["smallest_number_nameable"] is None:
        lines.append("warning: with so few held-out images nothing can be named; give more.")
    if document["text_encoder_modules_left_out"]:
        lines.append(
            f"warning: {document['text_encoder_modules_left_out']} modules of a text encoder are "
            "changed as well, and were not looked at."
        )
    return "\n".join([*lines, "", f"report: {document['report']}"])
