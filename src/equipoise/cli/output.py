"""What every command shares: its common options, and how it prints."""

import json as json_module
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

Json = Annotated[
    bool,
    Parameter(
        name="--json",
        negative=(),
        help="Print one JSON document on standard output and nothing else.",
    ),
]
Model = Annotated[str, Parameter(help='The model: "zoo:NAME", a file or a folder.')]
Device = Annotated[str, Parameter(help='Where the model computes: "cpu" or "cuda".')]
Size = Annotated[
    tuple[int, int] | None,
    Parameter(help="Height and width of the pictures, pixels; of a text-to-image model."),
]
Count = Annotated[int, Parameter(validator=Number(gte=1))]


def name_run(kind: str) -> Path:
    """Name a new run folder by what makes it and the time: runs/audit-20260131-235959."""
    return Path("runs") / f"{kind}-{datetime.now():%Y%m%d-%H%M%S}"


def emit(document: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON document, or a text for people, to standard output."""
    shown = json_module.dumps(document, indent=1, allow_nan=False) if as_json else text
    sys.stdout.write(shown + "\n")


def tabulate(head: list[str], rows: list[list[str]]) -> str:
    """Lay out rows in columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def show_rate(rate: dict[str, Any]) -> str:
    """Write a rate with its interval: 0.991 (0.972 to 0.999)."""
    if rate["value"] is None:
        return "none (no case)"
    if rate["low"] is None:
        return f"{rate['value']:.3f} (no interval)"
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"
