"""Steer: make or pick a concept vector, and see outputs follow its strength."""

import re
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from markupsafe import Markup
from torch import Tensor

from equipoise.auditing.subject import Subject
from equipoise.errors import BadInputError
from equipoise.images import as_unit
from equipoise.report.picture import build_picture
from equipoise.report.plot import Line, render_lines
from equipoise.steering import ConceptVector, build_vector, load_vector
from equipoise.steering.strip import draw_strip
from equipoise.studio.context import Studio, get_count, get_number, get_pictures, get_text
from equipoise.studio.page import render_result
from equipoise.studio.task import Progress, Work
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import load_pictures

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,60}")
REFERENCES = 100
"""Most pictures with a class, and without it."""
Drawn = UInt8[Tensor, "seed strength channel height width"]


def steer_outputs(studio: Studio, fields: Mapping[str, Any]) -> Work:
    """Draw outputs at several strengths, and say how far they move."""
    yield Progress(0, 1, "opening the model")
    subject = studio.open(get_text(fields, "model"))
    vector, name = yield from _get_vector(studio, subject, fields)
    last = get_number(fields, "strength", low=-5, high=5)
    strengths = [
        float(one) for one in np.linspace(0, last, get_count(fields, "steps", low=2, high=9))
    ]
    seeds = get_count(fields, "seeds", low=1, high=8)
    first = get_count(fields, "seed", low=0, high=2**31)
    rows = []
    for index in range(seeds):
        yield Progress(index, seeds, "generating")
        rows.append(
            draw_strip(
                subject.denoiser, vector, sampler=subject.sampler, strengths=strengths,
                num_seeds=1, seed=first + index,
            )
        )  # fmt: skip
    drawn = torch.cat(rows)
    return render_result(
        "steer", name=name, model=subject.name, strengths=strengths, first=first,
        rows=[[build_picture(picture.numpy()) for picture in row] for row in drawn],
        plot=_draw_response(strengths, drawn), moved=_measure_moves(drawn),
    )  # fmt: skip


def list_vectors(studio: Studio) -> list[str]:
    """Name the vectors that were made here."""
    return sorted(path.stem for path in studio.vectors.glob("*.safetensors"))


def _get_vector(
    studio: Studio, subject: Subject, fields: Mapping[str, Any]
) -> Generator[Progress, None, tuple[ConceptVector, str]]:
    """Make the vector of a class or of pictures and keep it, or take a kept one."""
    source = get_text(fields, "source")
    if source == "kept":
        name = get_text(fields, "vector")
        if name not in list_vectors(studio):
            raise BadInputError(f'There is no vector "{name}" in {studio.vectors}; make one.')
        return load_vector(studio.vectors / f"{name}.safetensors"), name
    yield Progress(0, 1, "making the vector")
    shape = subject.denoiser.image_shape
    if source == "class":
        positive, negative, name = _take_class(get_text(fields, "class"), shape)
    else:
        name = get_text(fields, "name")
        positive, negative = (get_pictures(fields, side, shape) for side in ("with", "without"))
    vector = build_vector(
        subject.denoiser, as_unit(positive), as_unit(negative), name=subject.name
    )
    vector.save(_locate(studio, name))
    return vector, name


def _take_class(name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, str]:
    """Take pictures of a class of Fashion-MNIST, and as many of all others."""
    if name not in CLASSES:
        raise BadInputError(f'There is no class "{name}". Classes: {", ".join(CLASSES)}.')
    pictures = load_pictures()
    if tuple(pictures.originals.shape[1:]) != tuple(shape):
        raise BadInputError(
            "This model does not make pictures of Fashion-MNIST; give pictures of your own."
        )
    is_class = pictures.classes == CLASSES.index(name)
    positive, negative = (pictures.originals[side][:REFERENCES] for side in (is_class, ~is_class))
    return positive, negative, name


def _locate(studio: Studio, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise BadInputError(
            f'A vector cannot be named "{name}": letters, digits, blanks, "_" and "-" are '
            "allowed, 61 at most."
        )
    studio.vectors.mkdir(parents=True, exist_ok=True)
    return studio.vectors / f"{name}.safetensors"


def _measure_moves(drawn: Drawn) -> list[float]:
    """Measure the distance to the unsteered output, in units of that between two of these.

    With a single seed the unit is the norm of the unsteered output.
    """
    flat = drawn.double().flatten(2)
    moved = (flat - flat[:, :1]).norm(dim=2).mean(dim=0)
    start = flat[:, 0]
    unit = torch.pdist(start).mean() if len(start) > 1 else start.norm(dim=1).mean()
    return (moved / unit.clamp(min=1e-9)).tolist()


def _draw_response(strengths: list[float], drawn: Drawn) -> Markup:
    x = np.abs(np.array(strengths))
    line = Line("warm", x, np.array(_measure_moves(drawn)))
    return render_lines([line], name="response", xlabel="strength", ylabel="distance moved")
