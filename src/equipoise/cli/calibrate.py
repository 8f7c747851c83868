"""`equipoise calibrate`: a threshold for a false-positive rate."""

from pathlib import Path

from equipoise.cli.output import Count, Device, Json, Model, emit


def calibrate(
    *,
    out: Path,
    model: Model = "zoo:edm-fashion",
    generate: Count | None = None,
    reference: Path | None = None,
    fpr: float = 0.01,
    seed: int = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Set a threshold that promises a false-positive rate, and write it as a file.

    The detector is the model's shipped one where there is one, else the paper's statistic at the
    first default site. Copies among the model's own outputs only make the threshold conservative.

    Args:
        out: Calibration file to write.
        generate: Calibrate on this many fresh outputs of the model.
        reference: Calibrate on the pictures in this folder, which the model has not memorized.
        fpr: Promised false-positive rate; needs at least 1/fpr - 1 pictures.
        seed: Seed of the fresh outputs.
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.bench.parts import calibrate_model

    calibration = calibrate_model(
        model, generate=generate, reference=reference, fpr=fpr, seed=seed, device=device
    )
    calibration.save(out)
    low, high = calibration.achieved()
    document = {
        "calibration": str(out),
        "null": calibration.null,
        "n": calibration.n,
        "promised": fpr,
        "achieved": {"low": low, "high": high},
        "threshold": calibration.threshold,
        "detector": calibration.detector.model_dump(),
        "fingerprint": calibration.fingerprint,
    }
    text = (
        f"{out}: memorized from {calibration.threshold:.6g} up, fitted on {calibration.n} items "
        f"({calibration.null}).\nPromised false-positive rate {fpr:g}; on such items it lies "
        f"between {low:.3g} and {high:.3g} (95 %)."
    )
    emit(document, text, as_json=as_json)
