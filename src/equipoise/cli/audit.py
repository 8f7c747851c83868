"""`equipoise audit`: which of these images are copies, and how sure is that."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from equipoise.cli.adapter import refuse_words, run_adapter
from equipoise.cli.engine import Engine, run_with
from equipoise.cli.output import Count, Device, Json, Model, Size, emit, name_run, show_rate

if TYPE_CHECKING:
    from equipoise.runs import Run

Share = Annotated[float, Parameter(validator=Number(gte=0, lt=1))]
EXCEEDED = 3
"""Exit code when there are more copies than allowed."""
ANSWERS = (
    "items", "failed", "verdicts", "expected_false_flags", "copy_rate", "detection_limit",
    "sensitivity", "discoveries", "calibration", "training", "permutation", "warnings",
)  # fmt: skip
"""Results that are printed."""


def audit(
    images: str | None = None,
    *,
    model: Model = "zoo:edm-fashion",
    generate: Count | None = None,
    prompts: Path | None = None,
    calibration: Path | None = None,
    told: bool = False,
    adapter: Path | None = None,
    fdr: Share = 0.1,
    caption: str | None = None,
    training: str | None = None,
    held_out: str | None = None,
    fail_above: Share | None = None,
    out: Path | None = None,
    seed: int = 0,
    size: Size = None,
    device: Device = "cpu",
    engine: Engine = "local",
    address: str | None = None,
    workers: Count | None = None,
    as_json: Json = False,
) -> int:
    """Score a pile of images with a calibrated detector, and say how many are copies.

    The same command on the same run folder goes on where it was stopped. A file that cannot be
    read is a row with its reason and does not end the audit.

    Args:
        images: Folder (with all its folders), list of paths (.txt), pattern, picture, Parquet
            file, tar of pictures, or the URL of one of these.
        generate: Audit this many fresh outputs of the model instead.
        prompts: With --generate, ask for these, one a line, in turn (text-to-image models).
        calibration: Calibration file; default the one shipped with the model.
        told: Take the shipped calibration of a detector that is told what each picture was asked
            for: the prompt of an output, or the caption beside a picture.
        adapter: A LoRA of the model (a file, or a folder of peft): which of the --training images
            did it memorize, compared with the model without it and with --held-out images?
        fdr: With --adapter, share of false discoveries among what it learned that is allowed.
        caption: What pictures were called that have no NAME.txt beside them and no line in a
            metadata.jsonl; read with --adapter, and where the detector is told.
        training: Training images: flagged items are shown beside the nearest.
        held_out: Images the model never saw: with --training, the whole model is tested.
        fail_above: Exit with code 3 when the share of copies is shown to lie above this, and write
            gate.xml (JUnit) and gate.md for a build server.
        out: Run folder to write or to go on with; default runs/audit-TIME.
        seed: Seed of the fresh outputs.
        engine: Who scores: this process, all processes of torchrun (torchrun --nproc-per-node N
            -m equipoise audit ...), or workers of Ray. The rows are the same.
        address: With --engine ray, a cluster that runs; default one started on this machine.
        workers: With --engine ray, how many; default one a processor or GPU of the cluster.
    """
    folder = out or name_run("audit")
    if adapter is not None:
        refuse_words(
            images=images, generate=generate, prompts=prompts, fail_above=fail_above,
            told=told or None, engine=None if engine == "local" else engine, address=address,
            workers=workers,
        )  # fmt: skip
        return run_adapter(
            folder, model=model, adapter=adapter, training=training, held_out=held_out,
            caption=caption, calibration=calibration, fdr=fdr, device=device, size=size,
            as_json=as_json,
        )  # fmt: skip
    from equipoise.auditing.parts import AuditRequest

    request = AuditRequest(
        model=model, images=images, generate=generate, prompts=prompts, calibration=calibration,
        training=training, held_out=held_out, seed=seed, device=device, size=size, told=told,
        caption=caption,
    )  # fmt: skip
    run = run_with(request, folder, engine=engine, address=address, workers=workers)
    return 0 if run is None else _conclude(run, fail_above=fail_above, as_json=as_json)


def _conclude(run: "Run", *, fail_above: float | None, as_json: bool) -> int:
    """Write the page and the files for a build server, print the answers, choose the exit code."""
    from equipoise.auditing.gate import judge_limit
    from equipoise.report import render_report, write_gate
    from equipoise.report.boundary import tell_misfit

    report = render_report(run.path)
    gate = None
    with tell_misfit(run):  # the record of a finished run may have been edited
        if fail_above is not None:
            gate = asdict(judge_limit(run.record.results["copy_rate"], fail_above))
            write_gate(run, gate)
        document = {
            "run": str(run.path),
            **{name: run.record.results[name] for name in ANSWERS},
            "gate": gate,
            "seconds": run.record.cost["seconds"],
            "report": str(report),
        }
        emit(document, _describe(document), as_json=as_json)
    return EXCEEDED if gate and gate["outcome"] == "exceeded" else 0


def _describe(document: dict[str, Any]) -> str:
    verdicts, false = document["verdicts"], document["expected_false_flags"]
    scored = document["items"] - document["failed"]
    lines = [
        f"{verdicts['memorized']} of {scored} images are flagged as memorized; false alarms "
        f"alone would explain {false['low']} to {false['high']}.",
        f"{verdicts['inconclusive']} are inconclusive, {document['failed']} could not be scored.",
        *_describe_rate(document),
        *_describe_permutation(document["permutation"]),
        *_describe_gate(document["gate"]),
        *(f"warning: {warning}" for warning in document["warnings"]),
        "",
        f"report: {document['report']}   ({document['seconds']:.0f} s)",
    ]
    return "\n".join(lines)


def _describe_rate(document: dict[str, Any]) -> list[str]:
    rate, limit = document["copy_rate"], document["detection_limit"]
    if rate["value"] is None:
        return [
            f"share of copies: at least {rate['low']:.3g}. The calibration knows no copies, so "
            "nobody can say how many this audit misses."
        ]
    lines = [f"share of copies, corrected for missed and false flags: {show_rate(rate)}"]
    if limit is None:
        lines.append("No share of copies would have been noticed for certain: too few images.")
    else:
        lines.append(f"A share of {limit:.3g} or more would have been noticed.")
    return lines


def _describe_permutation(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    return [
        f"the model: training images score {found['difference']:+.3g} above held-out ones, "
        f"p = {found['p_value']:.2g} ({found['n_training']} against {found['n_held_out']}, "
        "exact permutation test)"
    ]


def _describe_gate(gate: dict[str, Any] | None) -> list[str]:
    from equipoise.report import describe_gate

    return [] if gate is None else [describe_gate(gate)]
