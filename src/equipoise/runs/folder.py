"""The run folder: what every slow job writes and every report reads.

    run.json               version, status, kind, spec, provenance, cost, results
    items/*.parquet        one row an item, see ITEM_SCHEMA
    tensors/*.safetensors  arrays
    report.html            the page for people

It can be copied, compared and reopened by a later version; nothing in it is a pickle. A job that
was stopped goes on in the same folder when it is asked for the same thing again.
"""

import hashlib
import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from equipoise.errors import RunError
from equipoise.runs.atomic import write_atomic

VERSION = 1
MATRIX_FLAGS = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "asimd"}
"""What /proc/cpuinfo calls the instructions that decide how fast a network runs."""
ITEM_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("score", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("verdict", pa.string()),
        ("error", pa.string()),
    ]
)
"""Columns that the items of every run have; what else there is depends on its kind."""
ITEM_COLUMNS = tuple(ITEM_SCHEMA.names)


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
    files: dict[str, str] = {}
    """BLAKE2b hash of every file of items and tensors, written when the run is finished."""


@dataclass(frozen=True)
class Run:
    """A run folder on the disk."""

    path: Path
    record: RunRecord

    def list_parts(self) -> list[Path]:
        """List the files of the items, in order."""
        return sorted((self.path / "items").glob("part-*.parquet"))

    def list_checks(self) -> list[Path]:
        """List the files of a monitor's checks, in the order of their steps."""
        return sorted((self.path / "monitor").glob("check-*.parquet"))

    def read_items(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the items of all parts, in the order of the part names.

        Args:
            columns: Only these; default all.
        """
        parts = self.list_parts()
        if not parts:
            raise RunError(f'"{self.path}" holds no items: the run has not come that far.')
        return pa.concat_tables([read_part(part, columns) for part in parts])

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """Read `tensors/NAME.safetensors`."""
        return load_file(self.path / "tensors" / f"{name}.safetensors")


def start_run(path: Path, *, kind: str, spec: dict[str, Any], provenance: dict[str, Any]) -> Run:
    """Create the folder and its `run.json` with status "running".

    Raises:
        RunError: when the folder holds a run already, or files of one, or is a file.
    """
    if path.is_file() or (path / "run.json").exists():
        raise RunError(
            f'Cannot write a run to "{path}": it exists already. Give a new folder, or remove it.'
        )
    if left := _list_files(path):
        raise RunError(
            f'Cannot write a run to "{path}": it holds {left[0]} of a run without its run.json, '
            "and nobody knows what was asked for there. Give a new folder, or remove it."
        )
    record = RunRecord(
        version=VERSION, status="running", kind=kind, spec=_as_json(spec),
        provenance=provenance | build_provenance(), cost={}, results={},
    )  # fmt: skip
    return _save_record(path, record)


def resume_run(path: Path, *, kind: str, spec: dict[str, Any], provenance: dict[str, Any]) -> Run:
    """Open the run in `path` if it was asked for the same thing; start it if there is none.

    Raises:
        RunError: when the folder holds a run of another kind or spec, naming what differs.
    """
    if not (path / "run.json").exists():
        return start_run(path, kind=kind, spec=spec, provenance=provenance)
    run = load_run(path)
    asked, found = _as_json(spec), run.record.spec
    differing = [key for key in sorted({*asked, *found}) if asked.get(key) != found.get(key)]
    if run.record.kind != kind:
        differing = ["kind"]
    if differing:
        raise RunError(
            f'"{path}" holds a run of another spec: {", ".join(differing)} differ(s). Ask for the '
            "same again to go on with it, or give a new folder."
        )
    return run


def finish_run(run: Run, *, results: dict[str, Any], cost: dict[str, Any]) -> Run:
    """Store the answers and mark the run finished."""
    update = {
        "status": "finished",
        "results": results,
        "cost": cost,
        "files": {name: hash_file(run.path / name) for name in _list_files(run.path)},
    }
    return _save_record(run.path, run.record.model_copy(update=update))


def update_run(run: Run, *, results: dict[str, Any]) -> Run:
    """Store the answers so far of a run that goes on, perhaps after it was finished once."""
    update = {"status": "running", "results": results}
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
    try:
        _write_json(record.model_dump())
    except ValueError as error:
        raise RunError(f'"{path}/run.json" is damaged: a number in it is not finite.') from error
    return Run(path, record)


def list_runs(folder: Path) -> list[Run]:
    """Open every run directly below a folder, in the order of their names; skip what is no run."""
    if not folder.is_dir():
        raise RunError(f'"{folder}" is not a folder; give one that holds run folders.')
    runs = []
    for record in sorted(folder.glob("*/run.json")):
        try:
            runs.append(load_run(record.parent))
        except RunError:  # a damaged neighbour must not hide the others; `runs check` names it
            continue
    return runs


def check_run(path: Path) -> dict[str, str]:
    """Read every file of a run, and compare those of a finished one with the hashes in its record.

    Returns:
        By the name of the file "ok", "missing", "changed" (another hash), "damaged" (it cannot be
        read, or a page contradicts its checksum), or "unknown" (not in the record). A run that is
        not finished has no hashes yet: its files are only read.

    Raises:
        RunError: when it is no run.
    """
    run = load_run(path)
    expected = run.record.files if run.record.status == "finished" else None
    found = _list_files(path)
    states = {name: _check_file(path / name, name, expected) for name in found}
    return states | dict.fromkeys(set(expected or ()) - set(found), "missing")


def _check_file(path: Path, name: str, expected: dict[str, str] | None) -> str:
    known = None if expected is None else expected.get(name)
    try:
        if known is not None and known != hash_file(path):
            return "changed"
        if path.suffix == ".parquet":
            read_part(path)
        else:
            load_file(path)
    except (RunError, OSError, SafetensorError):
        return "damaged"
    return "unknown" if expected is not None and known is None else "ok"


def read_part(part: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one file of items, with its page checksums verified.

    Raises:
        RunError: when the file is damaged.
    """
    try:
        # Opened here: pyarrow knows no name that is no text, and reads a folder as one table.
        with part.open("rb") as file:
            table = pq.read_table(file, columns=columns, page_checksum_verification=True)
        assert isinstance(table.column_names, list)  # raises where a name is no UTF-8
        return table
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise RunError(
            f'The items in "{part}" cannot be read: the file is missing or damaged. Copy the '
            "whole folder again, or repeat the run."
        ) from error


def write_items(run: Run, table: pa.Table, *, part: int = 0) -> None:
    """Write one part of the items; the columns every reader relies on must be there."""
    missing = set(ITEM_COLUMNS) - set(table.column_names)
    assert not missing, f"items without {missing}"
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomic(locate_part(run, part), sink.getvalue().to_pybytes())


def write_check(run: Run, step: int, table: pa.Table) -> None:
    """Write what a monitor saw at one step, `monitor/check-STEP.parquet`."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    path = run.path / "monitor" / f"check-{step:09d}.parquet"
    write_atomic(path, sink.getvalue().to_pybytes())


def drop_checks(run: Run, *, keep: Collection[int]) -> None:
    """Remove what a monitor saw at other steps: its training goes on from before them."""
    for path in run.list_checks():
        if int(path.stem.removeprefix("check-")) not in keep:
            path.unlink()


def locate_part(run: Run, part: int) -> Path:
    """Return the file of one part of the items."""
    return run.path / "items" / f"part-{part:06d}.parquet"


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


def hash_file(path: Path) -> str:
    """Hash the content of a file: 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _as_json(spec: dict[str, Any]) -> dict[str, Any]:
    """Bring a spec to what it reads back as: tuples become lists."""
    return json.loads(_write_json(spec))


def _write_json(document: dict[str, Any]) -> str:
    r"""Write JSON; bytes of a name that are no text as \xNN, or nobody could read it back."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", _show_byte, text)


def _show_byte(found: re.Match[str]) -> str:
    byte = ord(found[0]) - 0xDC00
    return rf"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else rf"\\u{ord(found[0]):04x}"


def _list_files(path: Path) -> list[str]:
    """Name the files of items, tensors and checks; pages and the lock are not in the record."""
    found = [
        *(path / "items").glob("*.parquet"),
        *(path / "tensors").glob("*.safetensors"),
        *(path / "monitor").glob("*.parquet"),
    ]
    return sorted(file.relative_to(path).as_posix() for file in found)


def _processor() -> str:
    """Name the processor, and what it has for matrices, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    told = info.read_text() if info.exists() else ""
    lines = [line for line in told.splitlines() if line.startswith("model name")]
    names = [line.split(":", 1)[1].strip() for line in lines]
    flags = ", ".join(sorted(set(told.split()) & MATRIX_FLAGS)) or "no AVX2"
    return f"{names[0]} x {len(names)} ({flags})" if names else platform.processor()


def _save_record(path: Path, record: RunRecord) -> Run:
    write_atomic(path / "run.json", _write_json(record.model_dump()).encode())
    return Run(path, record)
