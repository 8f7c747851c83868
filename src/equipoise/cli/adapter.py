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
    found = run.read_items(["source", "named"]).to_pylist()
    named = [row["source"] for row in found if row["named"]]
    document = run.record.results | {
        "run": str(run.path), "named_sources": named, "report": str(report),
        "seconds": run.record.cost["seconds"],
    }  # fmt: skip
    emit(document, _describe(document), as_json=as_json)
    return 0


def _describe(document: dict[str, Any]) -> str:
    told = f", {document['least_gain']:.0%} of the error gone" if document["least_gain"] else ""
    lines = [
        f"{document['named']} of {document['training']} training images are named: learned more "
        f"than {document['held_out']} held-out ones explain{told}.",
        *(f"  {source}" for source in document["named_sources"]),
        f"{document['learned']} were learned, named or not; {document['fdr']:.0%} of these may be "
        "false.",
        "named at scale "
        + ", ".join(f"{entry['scale']:g}: {entry['named']}" for entry in document["scales"])
        + f"; nothing is named up to {document['recommended_scale']:g}",
    ]
    if document["untold"]:
        lines.append(
            "warning: no captions were found, and the model was told nothing. An adapter that was "
            "trained with captions can hide what it memorized from such a look: put NAME.txt "
            "beside each picture or a metadata.jsonl into the folder, or give --caption."
        )
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
