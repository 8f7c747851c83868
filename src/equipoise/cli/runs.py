"""`equipoise runs` and `equipoise report`: look at run folders again."""

from pathlib import Path

from cyclopts import App

from equipoise.cli.output import Json, emit, tabulate
from equipoise.errors import RunError

runs = App(name="runs", help="List, show and check run folders.")


@runs.command(name="list")
def list_(folder: Path = Path("runs"), *, as_json: Json = False) -> None:
    """List the runs in a folder.

    Args:
        folder: Folder that holds run folders.
    """
    from equipoise.runs import list_runs

    rows = [
        {
            "run": str(run.path),
            "kind": run.record.kind,
            "status": run.record.status,
            "model": run.record.spec.get("model"),
            "time": run.record.provenance.get("time"),
        }
        for run in list_runs(folder)
    ]
    head = ["run", "kind", "status", "model", "time"]
    table = [["" if row[key] is None else str(row[key]) for key in head] for row in rows]
    emit(rows, tabulate(head, table), as_json=as_json)


@runs.command
def show(run: Path, *, as_json: Json = False) -> None:
    """Show the record of a run: what was asked, with what it was made, what came out.

    Args:
        run: Run folder.
    """
    import json

    from equipoise.runs import load_run

    record = load_run(run).record
    document = record.model_dump()
    text = "\n".join(
        [
            f"{run}: {record.kind}, {record.status}",
            *(
                f"\n{part}\n{json.dumps(document[part], indent=1)}"
                for part in ("spec", "results", "provenance", "cost")
            ),
        ]
    )
    emit(document, text, as_json=as_json)


@runs.command
def check(run: Path, *, as_json: Json = False) -> None:
    """Read every file of a run with its checksums, and compare it with the hash in the record.

    A run that is not finished has no hashes yet: its files are only read.

    Args:
        run: Run folder.
    """
    from equipoise.runs import check_run

    states = check_run(run)
    wrong = [name for name, state in states.items() if state != "ok"]
    rows = [[state, name] for name, state in states.items()]
    emit({"passed": not wrong, "files": states}, tabulate(["", "file"], rows), as_json=as_json)
    if wrong:
        raise RunError(f'"{run}" differs from its record in: {", ".join(wrong)}.')


def report(
    run: Path, *, against: Path | None = None, pdf: bool = False, as_json: Json = False
) -> None:
    """Write the page of a finished run again, from its folder alone.

    Args:
        run: Run folder.
        against: Another run of the same kind: write a page of what is different instead.
        pdf: Print it to a PDF too, by an installed Chromium.
    """
    from equipoise.report import print_report, render_against, render_report

    page = render_report(run) if against is None else render_against(run, against)
    written = {"report": str(page)}
    if pdf:
        written["pdf"] = str(print_report(page))
    emit(written, "\n".join(written.values()), as_json=as_json)
