"""Run folders: the record is the interface."""

from equipoise.runs.folder import (
    ITEM_COLUMNS,
    Run,
    RunRecord,
    build_provenance,
    finish_run,
    load_run,
    start_run,
    write_items,
    write_tensors,
)

__all__ = [
    "ITEM_COLUMNS",
    "Run",
    "RunRecord",
    "build_provenance",
    "finish_run",
    "load_run",
    "start_run",
    "write_items",
    "write_tensors",
]
