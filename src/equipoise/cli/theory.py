"""`equipoise theory`: the claims of the theory as numbers."""

import sys
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from equipoise.cli.output import Json, emit, name_run, show_rate, tabulate
from equipoise.errors import EquipoiseError

if TYPE_CHECKING:
    from equipoise.theory.claims import Check

theory = App(name="theory", help="The theory of the ReLU denoising autoencoder, as numbers.")


@theory.command
def verify(*, as_json: Json = False) -> None:
    """Measure every claim of the theory on data where it should hold, and say whether it does.

    Each claim is one number with a bound, measured without the formula it checks: by automatic
    differentiation, simulation, plain optimizers or dense decompositions. About two minutes.
    Exit code 2 when a claim does not hold.
    """
    from equipoise.theory.claims import CLAIMS, verify_claims

    checks = []
    for check in verify_claims(CLAIMS):
        sys.stderr.write(f"{len(checks) + 1}/{len(CLAIMS)} {check.name}\n")
        checks.append(check)
    failed = [check.name for check in checks if not check.ok]
    # JSON knows no NaN and no infinity
    rows = [asdict(c) | {"value": c.value if isfinite(c.value) else None} for c in checks]
    seconds = sum(check.seconds for check in checks)
    document = {"passed": not failed, "checks": rows, "seconds": seconds}
    emit(document, _describe(checks, seconds), as_json=as_json)
    if failed:
        raise EquipoiseError(f"{len(failed)} of {len(checks)} do not hold: {', '.join(failed)}.")


@theory.command
def figures(
    *, out: Path | None = None, data: Path | None = None, seed: int = 0, as_json: Json = False
) -> None:
    """Draw the figures of the paper from trainings on real images, into a run folder and a page.

    Trains networks on five images, on ten thousand, and on both kinds at once, at noise levels
    0.2, 1 and 5. About three minutes.

    Args:
        out: Run folder to write; default runs/theory-TIME.
        data: Folder with the gzip files of Fashion-MNIST; default Debian's package, and without
            it the 5,000 images that ship.
        seed: Seed of draws, weights and noise.
    """
    from equipoise.bench.lab import build_images, build_subject
    from equipoise.report import render_report
    from equipoise.theory.figures import run_figures

    folder = out or name_run("theory")
    run = run_figures(build_images(data), build_subject(), folder, seed=seed)
    report = render_report(run.path)
    seconds = run.record.cost["seconds"]
    document = {"run": str(run.path), "report": str(report), "seconds": seconds}
    emit(
        document | {"results": run.record.results},
        f"drawn in {seconds:.0f} s\nreport: {report}",
        as_json=as_json,
    )


@theory.command
def phase(*, out: Path | None = None, seed: int = 0, as_json: Json = False) -> None:
    """Draw what networks of many sizes store, with the theory's boundary, as two phase diagrams.

    Hidden units against images, and copies of an image against other images. Trains 234 small
    networks on a mixture on which the theory's assumptions hold; about four minutes. Stop it
    whenever you like: the same command with the same --out goes on.

    Args:
        out: Run folder to write, or to go on with; default runs/phase-TIME.
        seed: First seed of draws, weights and noise; every cell takes three.
    """
    from equipoise.report import render_report
    from equipoise.theory.phase import run_phase

    folder = out or name_run("phase")
    run = run_phase(folder, seed=seed)
    report = render_report(run.path)
    results = run.record.results
    rows = [
        [
            told,
            show_rate(results["error"][name]["allocation"]),
            show_rate(results["error"][name]["constant"]),
        ]
        for name, told in (("units", "units against images"), ("copies", "copies against images"))
    ]
    head = ["stored share, off by", "the theory", "the best constant"]
    document = {"run": str(run.path), "report": str(report), "results": results}
    emit(document, f"{tabulate(head, rows)}\n\nreport: {report}", as_json=as_json)


def _describe(checks: "list[Check]", seconds: float) -> str:
    rows = [
        [
            "ok" if check.ok else "FAILS",
            check.source,
            check.name,
            f"{check.value:.3g}",
            f"{check.relation} {check.bound:g}",
        ]
        for check in checks
    ]
    table = tabulate(["", "source", "claim", "value", "bound"], rows)
    holding = sum(check.ok for check in checks)
    return f"{table}\n\n{holding} of {len(checks)} claims hold; {seconds:.0f} s"
