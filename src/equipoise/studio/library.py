"""The runs a studio shows: listed below one folder, and named by a hash of where they lie."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.runs import Run, list_runs

PAGES = {"report": "report.html", "against": "against.html"}


@dataclass(frozen=True)
class Entry:
    """A run of the list."""

    key: str
    run: Run


def list_entries(folder: Path) -> list[Entry]:
    """List the runs below a folder, the latest first; none where there is no such folder."""
    if not folder.is_dir():
        return []
    entries = [Entry(_hash_path(run.path), run) for run in list_runs(folder)]
    return sorted(entries, key=lambda entry: _get_time(entry.run), reverse=True)


def find_run(folder: Path, key: str) -> Run:
    """Find a run by its key.

    Raises:
        RunError: when no run below the folder has this key.
    """
    found = next((entry.run for entry in list_entries(folder) if entry.key == key), None)
    if found is None:
        raise RunError("There is no such run. Reload the list of runs.")
    return found


def find_page(folder: Path, key: str, page: str) -> Path:
    """Find a page of a run; the report is written where there is none, or the run goes on.

    Raises:
        RunError: when there is no such run or page.
    """
    run = find_run(folder, key)
    if page not in PAGES:
        raise RunError(f"A run has no page of that name; it has {', '.join(PAGES)}.")
    place = run.path / PAGES[page]
    if page == "report" and (run.record.status == "running" or not place.is_file()):
        return render_report(run.path)
    if not place.is_file() or place.is_symlink():
        raise RunError("This page was not written yet.")
    return place


def _hash_path(path: Path) -> str:
    return hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()


def _get_time(run: Run) -> str:
    return str(run.record.provenance.get("time", ""))
