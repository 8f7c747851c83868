"""The machine of a page of figures, in one line."""

from collections.abc import Mapping

from equipoise.runs import build_provenance


def describe_machine(made: Mapping[str, str] | None = None) -> str:
    """Name processor, Python, torch and day: those of a run's provenance, or of this process."""
    made = made or build_provenance()
    return (
        f"Machine: {made['processor']}, Python {made['python']}, torch {made['torch']}, "
        f"{made['time'][:10]}"
    )
