"""`equipoise sweep`: which site, sigma, pooling and statistic tell copies best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.cli.output import (
    Count,
    Device,
    Json,
    Model,
    Size,
    emit,
    name_run,
    show_rate,
    tabulate,
)
from equipoise.errors import BadInputError

HEAD = ["site", "sigma", "pooling", "statistic", "sign", "chosen on", "reported on"]


def sweep(
    *,
    model: Model = "zoo:edm-fashion",
    reference: Path | None = None,
    copies: Path | None = None,
    sites: str | None = None,
    size: Size = None,
    num_samples: Count = 1500,
    seed: int = 0,
    top: Count = 12,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Try site x sigma x pooling x statistic; choose on half of the copies that are known.

    A zoo model is swept over fresh outputs, of which the truth is known: the chosen combination is
    reported on copies of the other half of the planted images, and on other novel outputs. Any
    model is swept over pictures of yours with --reference.

    Args:
        reference: Pictures that the model has not memorized, at least 30.
        copies: With --reference, known copies, at least 4; without, the most stable is chosen.
        sites: With --reference, a pattern of sites to try; default the model's default sites.
        num_samples: Fresh outputs to draw.
        seed: Seed of the outputs.
        top: Combinations to print.
        out: Run folder to write; default runs/sweep-TIME.
    """
    folder = out or name_run("sweep")
    if reference is not None:
        return _sweep_reference(
            model, reference, copies, sites, folder,
            seed=seed, top=top, size=size, device=device, as_json=as_json,
        )  # fmt: skip
    if copies is not None or sites is not None or size is not None:
        raise BadInputError("--copies, --sites and --size belong to a sweep with --reference.")
    return _sweep_zoo(
        model, folder,
        num_samples=num_samples, seed=seed, top=top, device=device, as_json=as_json,
    )  # fmt: skip


def _sweep_zoo(
    model: str,
    folder: Path,
    *,
    num_samples: int,
    seed: int,
    top: int,
    device: str,
    as_json: bool,
) -> None:
    from equipoise.bench.parts import load_parts
    from equipoise.bench.sweep import run_sweep
    from equipoise.report import render_report

    parts = load_parts(model, device=device)
    run = run_sweep(parts.model, parts.twin, folder, seed=seed, num_samples=num_samples)
    results = run.record.results
    page = str(render_report(run.path))
    document = results | {"cells": results["cells"][:top], "run": str(run.path), "report": page}
    lines = [
        tabulate(HEAD, [_list_cells(cell) for cell in document["cells"]]),
        "",
        f"chosen: {', '.join(results['chosen']['sites'])}",
        f"AUROC {show_rate(results['auroc'])} on copies of images it was not chosen on",
        f"the same outputs in the clean twin: {show_rate(results['clean_twin_auroc'])}",
        f"denoising residual (baseline): {show_rate(results['residual']['auroc'])}",
        f"report: {page}",
    ]
    emit(document, "\n".join(lines), as_json=as_json)


def _list_cells(cell: dict[str, Any]) -> list[str]:
    return [
        _name_sites(cell["sites"]),
        f"{cell['sigma']:.3g}",
        cell["pooling"],
        cell["statistic"] + (" scaled" if cell["scaled_units"] else ""),
        f"{cell['sign']:+d}",
        f"{cell['selection_auroc']:.4f}",
        f"{cell['report_auroc']:.4f}",
    ]


def _sweep_reference(
    model: str,
    reference: Path,
    copies: Path | None,
    sites: str | None,
    folder: Path,
    *,
    seed: int,
    top: int,
    size: tuple[int, int] | None,
    device: str,
    as_json: bool,
) -> None:
    from equipoise.auditing.pile import PicturePile
    from equipoise.auditing.subject import open_subject
    from equipoise.auditing.sweep import run_reference_sweep
    from equipoise.report import render_report

    denoiser = open_subject(model, device=device, size=size).denoiser
    shape = denoiser.image_shape
    run = run_reference_sweep(
        denoiser, model, PicturePile(reference, shape), folder,
        copies=None if copies is None else PicturePile(copies, shape),
        sites=None if sites is None else [sites], seed=seed,
    )  # fmt: skip
    results = run.record.results
    chosen, area = results["chosen"], results["auroc"]
    document = {name: results[name] for name in results if name != "detector"}
    page = str(render_report(run.path))
    document |= {"cells": results["cells"][:top], "run": str(run.path), "report": page}
    lines = [
        f"chosen by {results['chosen_by']}: {_name_sites(chosen['sites'])}, sigma "
        f"{chosen['sigma']:.3g}, {chosen['statistic']} of the {chosen['pooling']}, sign "
        f"{chosen['sign']:+d}; stability {chosen['stability']:.3f}",
        *([f"AUROC {show_rate(area)} on known copies it was not chosen on"] if area else []),
        *(f"cannot know: {what}" for what in results["cannot_know"]),
        *(f"not read: {source!r}: {why}" for source, why in results["failed"].items()),
        f"next: equipoise calibrate --model {model} --reference {reference} --sweep {run.path}",
        f"report: {page}",
    ]
    emit(document, "\n".join(lines), as_json=as_json)


def _name_sites(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"the {len(names)} default sites together"
