"""`equipoise calibrate`: a threshold for a false-positive rate."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from equipoise.cli.output import Count, Device, Json, Model, Size, emit, show_rate


def calibrate(
    *,
    out: Path,
    model: Model = "zoo:edm-fashion",
    generate: Count | None = None,
    prompts: Path | None = None,
    reference: str | None = None,
    training: str | None = None,
    sweep: Path | None = None,
    told: bool = False,
    fpr: float = 0.01,
    seed: int = 0,
    size: Size = None,
    device: Device = "cpu",
    precision: Literal["float32", "bfloat16", "auto"] | None = None,
    as_json: Json = False,
) -> None:
    """Set a threshold that promises a false-positive rate, and write it as a file.

    The detector is the model's shipped one where there is one, else the paper's statistic at the
    first default site. Copies among the model's own outputs only make the threshold conservative.

    Args:
        out: Calibration file to write.
        generate: Calibrate on this many fresh outputs of the model.
        prompts: With --generate, ask for these, one a line, in turn (text-to-image models).
        reference: Calibrate on the pictures in this folder, which the model has not memorized.
        training: Training images: with --generate, copies and doubtful outputs are left out.
        sweep: Run folder of `equipoise sweep --reference`: calibrate the detector it chose.
        told: Tell the model what each picture was asked for: what outputs are drawn with, or the
            captions beside the pictures of --reference (NAME.txt or metadata.jsonl).
        fpr: Promised false-positive rate; needs at least 1/fpr - 1 pictures.
        seed: Seed of the fresh outputs.
        precision: Arithmetic of the detector, from then on; auto tries bfloat16 on the first
            pictures and takes it where it is faster and says the same. Default: the detector's.
    """
    from equipoise.auditing.reference import calibrate_model

    found = calibrate_model(
        model, generate=generate, prompts=prompts, reference=reference, training=training,
        fpr=fpr, seed=seed, device=device,
        size=size, sweep=sweep, precision=precision, told=told,
    )  # fmt: skip
    calibration = found.calibration
    calibration.save(out)
    low, high = calibration.achieved()
    sensitivity = calibration.sensitivity()
    document = {
        "calibration": str(out),
        "null": calibration.null,
        "n": calibration.n,
        "failed": found.failed,
        "left_out": found.left_out,
        "promised": fpr,
        "achieved": {"low": low, "high": high},
        "sensitivity": sensitivity.describe() if sensitivity else None,
        "threshold": calibration.threshold,
        "detector": calibration.detector.model_dump(),
        "trial": asdict(found.trial) if found.trial else None,
        "fingerprint": calibration.fingerprint,
    }
    emit(document, _describe(document), as_json=as_json)


def _describe(document: dict[str, Any]) -> str:
    achieved, sensitivity = document["achieved"], document["sensitivity"]
    lines = [
        f"{document['calibration']}: memorized from {document['threshold']:.6g} up, fitted on "
        f"{document['n']} items ({document['null']}).",
        f"Promised false-positive rate {document['promised']:g}; on such items it lies between "
        f"{achieved['low']:.3g} and {achieved['high']:.3g} (95 %).",
    ]
    if sensitivity:
        lines.append(f"Known copies at or above the threshold: {show_rate(sensitivity)}.")
    if document["trial"]:
        lines.append(_describe_trial(document["trial"], document["detector"]["precision"]))
    lines += [f"left out: {count} {label}" for label, count in document["left_out"].items()]
    lines += [f"not used: {source!r}: {why}" for source, why in document["failed"].items()]
    return "\n".join(lines)


def _describe_trial(trial: dict[str, Any], precision: str) -> str:
    agreement = (
        "the scores of which say nothing"
        if trial["spearman"] is None
        else f"rank correlation {trial['spearman']:.3f}, difference {trial['deviation']:.2%} of "
        "the scores' spread"
    )
    return (
        f"computed in {precision}: on {trial['n']} pictures bfloat16 was {trial['speedup']:.2f} "
        f"times as fast as float32, {agreement}"
    )
