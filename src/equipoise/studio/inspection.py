"""Inspect: one picture, dropped or generated, and everything the library can say about it."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.auditing.heat import draw_heat
from equipoise.auditing.subject import Subject, encode_prompts
from equipoise.denoisers import guide
from equipoise.detection import (
    Calibration,
    Heat,
    Scores,
    build_default,
    has_places,
    judge,
    measure_heat,
)
from equipoise.images import as_unit, content_ids, quantize
from equipoise.report.activation import measure_share
from equipoise.report.audit import Scale, build_scale
from equipoise.report.picture import build_picture
from equipoise.report.plot import render_profile
from equipoise.report.thumbnail import build_thumbnail
from equipoise.sampling import sample_states
from equipoise.studio.context import Studio, get_count, get_pictures, get_text
from equipoise.studio.page import render_result
from equipoise.studio.task import Progress, Work

STRONGEST = 20
"""One of so many units counts as strongest."""
Picture = UInt8[Tensor, "1 channel height width"]


@dataclass(frozen=True)
class Finding:
    """What was found of a picture."""

    scores: Scores
    calibration: Calibration | None
    verdict: str | None
    p_value: float | None
    heat: Heat | None


def inspect_picture(studio: Studio, fields: Mapping[str, Any]) -> Work:
    """Score one picture, say what the score means, and show what it comes from."""
    yield Progress(0, 1, "opening the model")
    subject = studio.open(get_text(fields, "model"))
    if get_text(fields, "source") == "upload":
        picture = get_pictures(fields, "picture", subject.denoiser.image_shape)[:1]
    else:
        picture = yield from _generate(subject, fields)
    yield Progress(0, 1, "looking inside")
    finding = _look(subject, picture)
    yield Progress(1, 1, "searching the training images")
    return render_result(
        "inspect", **_show(subject, picture, finding), **_find_nearest(studio, subject, picture)
    )


def _generate(subject: Subject, fields: Mapping[str, Any]) -> Generator[Progress, None, Picture]:
    """Sample one output from its seed and, where the model reads prompts, from a prompt."""
    seed = get_count(fields, "seed", low=0, high=2**31)
    prompt = get_text(fields, "prompt")
    names, denoiser = [f"studio/{seed}"], subject.denoiser
    wanted = subject.draw_conditions(names, seed)
    conditions = encode_prompts(denoiser, [prompt]) if prompt else wanted
    sigmas = subject.sampler.list_sigmas(denoiser)
    guided = guide(denoiser, subject.sampler.guidance)
    x = None
    for state in sample_states(
        guided, names, sigmas, seed=seed, conditions=conditions, solver=subject.sampler.solver
    ):
        x = state.x
        yield Progress(state.step, len(sigmas), "generating")
    assert x is not None, "a sampler without steps"
    return quantize(denoiser.decode(x)).cpu()


def _look(subject: Subject, picture: Picture) -> Finding:
    """Score the picture with the shipped detector, or with the paper's where none is."""
    denoiser, ids, images = subject.denoiser, content_ids(picture), as_unit(picture)
    calibration = subject.load_calibration()
    detector = calibration.detector if calibration else build_default(denoiser)
    scores = detector.score(denoiser, images, ids)
    located = has_places(denoiser, detector)
    heat = measure_heat(denoiser, images, detector, ids) if located else None
    if calibration is None:
        return Finding(scores, None, None, None, heat)
    judged = judge(calibration, scores, picture)
    return Finding(scores, calibration, judged.verdicts[0], float(judged.p_values[0]), heat)


def _show(subject: Subject, picture: Picture, finding: Finding) -> dict[str, Any]:
    """Bring what was found to what the page shows."""
    score = float(finding.scores.values[0])
    low, high = finding.scores.interval()[0].tolist()
    return {
        "model": subject.name,
        "picture": build_picture(picture[0].numpy()),
        "score": score, "low": low, "high": high,
        "verdict": finding.verdict, "p_value": finding.p_value,
        "calibration": finding.calibration,
        "scale": _build_scale(finding.calibration, score),
        "evaluations": finding.scores.evaluations,
        **_show_units(finding.heat, picture, spiky=finding.verdict == "memorized"),
    }  # fmt: skip


def _build_scale(calibration: Calibration | None, score: float) -> Scale | None:
    if calibration is None:
        return None
    known = torch.tensor(calibration.scores, dtype=torch.float64).numpy()
    return build_scale(known, torch.tensor([score], dtype=torch.float64).numpy())


def _show_units(heat: Heat | None, picture: Picture, *, spiky: bool) -> dict[str, Any]:
    """Draw the places and the units the score comes from."""
    if heat is None:
        return {"heat": "", "profile": "", "share": None, "num_units": 0, "num_strongest": 0}
    units = heat.units[0].double().numpy()
    count = max(1, len(units) // STRONGEST)
    room = 0.05 * float(units.max() - units.min()) or 1.0
    limits = (min(0.0, float(units.min()) - room), float(units.max()) + room)
    return {
        "heat": build_thumbnail(draw_heat(picture[0], heat.maps[0])),
        "profile": render_profile(units, tone="warm" if spiky else "cool", limits=limits),
        "share": measure_share(units, count),
        "num_units": len(units), "num_strongest": count,
    }  # fmt: skip


def _find_nearest(studio: Studio, subject: Subject, picture: Picture) -> dict[str, Any]:
    """Show the nearest training image, where the training set is known."""
    model = studio.open_truth(subject)
    if model is None:
        return {"nearest": "", "ratio": None, "label": None}
    labels = model.label(picture)
    nearest = model.training_set.images[int(labels.picture[0])]
    return {
        "nearest": build_picture(nearest.numpy()),
        "ratio": float(labels.ratio[0]), "label": labels.names()[0],
    }  # fmt: skip
