"""The run folder: what every slow job writes and every report reads.

    run.json               version, status, kind, spec, provenance, cost, results
    items/*.parquet        one row an item, see ITEM_COLUMNS
    tensors/*.safetensors  arrays
    report.html            the page for people

It can be copied, compared and reopened by a later version; nothing in it is a pickle.
"""

import importlib.metadata
import json
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load_file, save

from equipoise.errors import RunError
from equipoise.runs.atomic import write_atomic

VERSION = 1
ITEM_COLUMNS = ("id", "source", "score", "p_value", "q_value", "verdict", "error")


class _Versioned(BaseModel):
    """The one field that every version of `run.json` has."""

    version: int


class RunRecord(BaseModel):
    """The content of `run.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    """Version of this layout; a reader refuses a later one."""
    status: Literal["running", "finished", "failed"]
    """How far the job came."""
    kind: str
    """What made it: demo, sweep, audit, ..."""
    spec: dict[str, Any]
    """Everything that was asked for, defaults included."""
    provenance: dict[str, Any]
    """Model fingerprint, versions, machine, time."""
    cost: dict[str, Any]
    """Network evaluations and seconds, by part."""
    results: dict[str, Any]
    """The answers; a rate is `{value, low, high, n, ...}` with a 95 % interval."""


@dataclass(frozen=True)
class Run:
    """A run folder on the disk."""

    path: Path
    record: RunRecord

    def read_items(self) -> pa.Table:
        """Read the items of all parts, in the order of the part names."""
        parts = sorted((self.path / "items").glob("*.parquet"))
        if not parts:
            raise RunError(f'"{self.path}" holds no items: the run has not come that far.')
        return pa.concat_tables(
            [pq.read_table(part, page_checksum_verification=True) for part in parts]
        )

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """Read `tensors/NAME.safetensors`."""
        return load_file(self.path / "tensors" / f"{name}.safetensors")


def start_run(path: Path, *, kind: str, spec: dict[str, Any], provenance: dict[str, Any]) -> Run:
    """Create the folder and its `run.json` with status "running".

    Raises:
        RunError: when the folder holds a run already, or is a file.
    """
    if path.is_file() or (path / "run.json").exists():
        raise RunError(
            f'Cannot write a run to "{path}": it exists already. Give a new folder, or remove it.'
        )
    record = RunRecord(
        version=VERSION, status="running", kind=kind, spec=spec,
        provenance=provenance | build_provenance(), cost={}, results={},
    )  # fmt: skip
    return _save_record(path, record)


def finish_run(run: Run, *, results: dict[str, Any], cost: dict[str, Any]) -> Run:
    """Store the answers and mark the run finished."""
    update = {"status": "finished", "results": results, "cost": cost}
    return _save_record(run.path, run.record.model_copy(update=update))


def load_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunError: when it is no run, is damaged, or was written by a later version.
    """
    try:
        content = (path / "run.json").read_bytes()
        version = _Versioned.model_validate_json(content).version
        if version > VERSION:  # before the fields, which a later version may have changed
            raise RunError(
                f'"{path}" has layout {version}, this equipoise reads up to {VERSION}; upgrade it.'
            )
        record = RunRecord.model_validate_json(content)
    except OSError as error:
        raise RunError(
            f'"{path}" is not a run folder: run.json cannot be read ({error.strerror}).'
        ) from error
    except ValidationError as error:
        raise RunError(
            f'"{path}/run.json" is damaged: {error.error_count()} field(s) are wrong.'
        ) from error
    return Run(path, record)


def write_items(run: Run, table: pa.Table, *, part: int = 0) -> None:
    """Write one part of the items; the columns every reader relies on must be there."""
    missing = set(ITEM_COLUMNS) - set(table.column_names)
    assert not missing, f"items without {missing}"
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomic(run.path / "items" / f"part-{part:06d}.parquet", sink.getvalue().to_pybytes())


def write_tensors(run: Run, name: str, arrays: dict[str, np.ndarray]) -> None:
    """Write `tensors/NAME.safetensors`."""
    contiguous = {key: np.require(array, requirements="C") for key, array in arrays.items()}
    write_atomic(run.path / "tensors" / f"{name}.safetensors", save(contiguous))


def build_provenance() -> dict[str, str]:
    """Say when, where and with which versions something was made."""
    packages = ("equipoise", "torch", "numpy", "scipy", "scikit-learn")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return versions | {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Name the processor where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()


def _save_record(path: Path, record: RunRecord) -> Run:
    text = json.dumps(record.model_dump(), indent=2, allow_nan=False)
    write_atomic(path / "run.json", text.encode())
    return Run(path, record)
