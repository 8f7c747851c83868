"""`equipoise duplicates`: what a training set holds more than once."""

from pathlib import Path
from typing import Any

from equipoise.cli.output import Json, emit, name_run, tabulate

SHOWN = 10
SHOWN_SOURCES = 3


def duplicates(training: str, *, out: Path | None = None, as_json: Json = False) -> None:
    """Find exact, mirrored and near duplicates among training images, before training.

    What is repeated is memorized first. A file that cannot be read is a row with its reason.

    Args:
        training: Folder (with all its folders), list of paths (.txt), pattern, picture, Parquet
            file, tar of pictures, or the URL of one of these.
        out: Run folder to write; default runs/duplicates-TIME.
    """
    from equipoise.auditing.duplicates import find_training_duplicates
    from equipoise.report import render_report

    folder = out or name_run("duplicates")
    run = find_training_duplicates(training, folder)
    results = run.record.results
    names = ("items", "failed", "groups", "images_in_groups", "by_kind", "largest")
    document = {"run": str(run.path)} | {name: results[name] for name in names}
    document["report"] = str(render_report(run.path))
    emit(document, _describe(document), as_json=as_json)


def _describe(document: dict[str, Any]) -> str:
    read = document["items"] - document["failed"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in document["by_kind"].items())
    lines = [
        f"{document['images_in_groups']} of {read} images are in {document['groups']} groups of "
        f"duplicates: {kinds}.",
        f"{document['failed']} could not be read.",
    ]
    if document["groups"]:
        rows = [
            [str(group["size"]), ", ".join(group["kinds"]), _name_sources(group)]
            for group in document["largest"][:SHOWN]
        ]
        lines += ["", tabulate(["images", "kinds", "sources"], rows)]
    return "\n".join([*lines, "", f"report: {document['report']}"])


def _name_sources(group: dict[str, Any]) -> str:
    shown = group["sources"][:SHOWN_SOURCES]
    more = group["size"] - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
