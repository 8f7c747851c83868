"""Run folders: the record is the interface."""

from equipoise.runs.folder import (
    ITEM_COLUMNS,
    ITEM_SCHEMA,
    Run,
    RunRecord,
    build_provenance,
    check_run,
    finish_run,
    hash_file,
    list_runs,
    load_run,
    locate_part,
    read_part,
    resume_run,
    start_run,
    write_items,
    write_tensors,
)
from equipoise.runs.lock import LOCK, lock_run

__all__ = [
    "ITEM_COLUMNS",
    "ITEM_SCHEMA",
    "LOCK",
    "Run",
    "RunRecord",
    "build_provenance",
    "check_run",
    "finish_run",
    "hash_file",
    "list_runs",
    "load_run",
    "locate_part",
    "lock_run",
    "read_part",
    "resume_run",
    "start_run",
    "write_items",
    "write_tensors",
]
