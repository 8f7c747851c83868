"""`equipoise inspect`: what is in a checkpoint."""

from dataclasses import asdict
from pathlib import Path

from equipoise.cli.output import Json, emit

SHOWN = 5


def inspect(file: Path, *, as_json: Json = False) -> None:
    """Say what is in a checkpoint, without running it and without loading it into a network.

    Args:
        file: An EDM snapshot, a file of torch (.pt, .pth, .ckpt, .bin) or safetensors, or a
            folder of diffusers; told by its content.
    """
    from equipoise.checkpoints.summary import summarize

    summary = summarize(file)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.precision.items())
    bad = summary.non_finite
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    lines = [
        f"family      {summary.family}",
        f"parameters  {summary.numbers:,} in {summary.tensors:,} tensors",
        f"precision   {kinds}",
        f"averaged    {summary.averaged}",
        f"non-finite  {', '.join(bad[:SHOWN]) + more if bad else 'none'}",
    ]
    lines += [f"note        {note}" for note in summary.notes]
    if summary.made_with:
        words = ", ".join(f"{key}={value}" for key, value in summary.made_with.items())
        lines.append(f"made with   {words}")
    emit({"file": str(file), **asdict(summary)}, "\n".join(lines), as_json=as_json)
