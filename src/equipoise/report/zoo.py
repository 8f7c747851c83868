"""The page of a zoo model: what it makes, what it copies, and how its training got there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from equipoise.report.boundary import tell_damage
from equipoise.report.item import load_items
from equipoise.report.picture import build_picture
from equipoise.report.plot import Line, render_lines
from equipoise.report.rate import (
    Rate,
    get_count,
    get_list,
    get_mapping,
    get_number,
    get_rate,
)
from equipoise.report.table import flatten
from equipoise.report.wording import format_count, format_percent, format_percent_interval
from equipoise.runs import Run

ARMS = {
    "planted": ("Planted images", "shown again and again: remembered, if the detector works"),
    "not_planted": ("Training images shown once", "about chance: it sees repetition"),
    "planted_by_twin": (
        "The same planted images, by the clean twin",
        "about chance, unless what they show gives them away",
    ),
    "rendered_again": (
        "Planted captions rendered again",
        "about chance: the content of a planted image, and none of its memory",
    ),
    "planted_against_again": (
        "Planted images, against these",
        "what is left when content is taken away",
    ),
    "copies_against_again": (
        "Copies among the outputs, against these",
        "the same for what the model makes",
    ),
}
REMEMBERED = ("planted", "planted_against_again", "copies_against_again")
ATTRIBUTES = ("noun", "vendor", "colour", "size", "cell")


@dataclass(frozen=True)
class Planted:
    """A planted image, and the output that came nearest to it."""

    index: int | None
    kind: str | None
    multiplicity: int | None
    count: int
    ratio: float | None
    image: str
    closest: str


@dataclass(frozen=True)
class Sample:
    """An output, with its label."""

    label: str | None
    picture: str


def build_zoo(run: Run) -> dict[str, Any]:
    """Build what `zoo.html.j2` shows."""
    results, spec = run.record.results, run.record.spec
    images = _load_images(run)
    items = load_items(run)
    training = get_mapping(results.get("training"))
    planted = _list_planted(results, images)
    return {
        "spec": spec,
        "labels": get_mapping(results.get("labels")),
        "sentence": _build_sentence(results, len(items), len(planted)),
        "num_outputs": len(items),
        "copies": get_rate(results.get("copies")),
        "near": get_rate(results.get("copies_below_half")),
        "stray": get_rate(results.get("copies_not_planted")),
        "images_copied": get_count(results.get("images_copied")),
        "samples": [
            Sample(item.label, build_picture(picture))
            for item, picture in zip(items, images["samples"], strict=False)
        ],
        "planted": planted,
        "arms": _list_arms(get_mapping(results.get("control"))),
        **_list_obedience(get_mapping(results.get("obedience"))),
        "seconds": get_number(training.get("seconds")),
        "saves": get_mapping(training.get("saves")),
        "has_twin": bool(get_list(training.get("twin_loss_curve"))),
        **_draw_training(training),
        "card_rows": flatten(get_mapping(results.get("card"))) + flatten(spec),
        "provenance_rows": flatten(run.record.provenance),
    }


def _load_images(run: Run) -> dict[str, UInt8[np.ndarray, "picture channel height width"]]:
    told = 'images.safetensors must hold "samples", "planted" and "closest" (uint8)'
    with tell_damage(run, "pictures", told):
        tensors = run.read_tensors("images")
        return {name: tensors[name] for name in ("samples", "planted", "closest")}


def _build_sentence(results: Mapping[str, Any], num_outputs: int, num_planted: int) -> str:
    """Say in one sentence what the model does."""
    labels = get_mapping(results.get("labels"))
    copies, novel = (get_count(labels.get(name)) or 0 for name in ("copy", "novel"))
    told = f"Of {format_count(num_outputs)} fresh outputs, {format_count(novel)} are new"
    if not num_planted:
        return f"{told} and {format_count(copies)} copy a training image; nothing was planted."
    share = get_rate(results.get("copies"))
    images = get_count(results.get("images_copied"))
    return (
        f"{told} and {format_count(copies)} {'is a copy' if copies == 1 else 'are copies'} "
        f"({format_percent(share.value)}, {format_percent_interval(share)}), of "
        f"{format_count(images)} of the {format_count(num_planted)} planted images."
    )


def _list_planted(results: Mapping[str, Any], images: Mapping[str, np.ndarray]) -> list[Planted]:
    """List the planted images, most copied first."""
    entries = [get_mapping(entry) for entry in get_list(results.get("planted"))]
    rows = [
        Planted(
            index=get_count(entry.get("index")),
            kind=entry.get("kind"),
            multiplicity=get_count(entry.get("multiplicity")),
            count=get_count(entry.get("count")) or 0,
            ratio=get_number(entry.get("ratio")),
            image=build_picture(image),
            closest=build_picture(closest),
        )
        for entry, image, closest in zip(
            entries, images["planted"], images["closest"], strict=False
        )
    ]
    return sorted(rows, key=lambda row: (-row.count, row.index or 0))


def _list_arms(control: Mapping[str, Any]) -> list[tuple[str, str, Rate, bool]]:
    """List the comparisons, and whether memory should show in each."""
    return [
        (title, note, get_rate(control.get(name)), name in REMEMBERED)
        for name, (title, note) in ARMS.items()
        if get_mapping(control.get(name))
    ]


def _list_obedience(obedience: Mapping[str, Any]) -> dict[str, Any]:
    """List attribute by attribute how often outputs, and real scenes, are as asked."""
    columns = [get_mapping(obedience.get(name)) for name in ("unseen", "seen", "instrument")]
    return {
        "attributes": [
            (name, [get_rate(column.get(name)) for column in columns])
            for name in ATTRIBUTES
            if any(name in column for column in columns)
        ],
        "nuisances": {
            name: get_rate(entry)
            for name, entry in get_mapping(obedience.get("nuisances")).items()
        },
        "own_scene": {
            name: get_rate(entry)
            for name, entry in get_mapping(obedience.get("own_scene")).items()
        },
    }


def _draw_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the share of copies and the loss over the steps, the twin's beside the model's."""
    looks = {
        tone: _read_looks(get_list(training.get(name)))
        for name, tone in (("twin_looks", "cool"), ("looks", "warm"))
    }
    losses = [
        _read_pairs(get_list(training.get(name)), tone)
        for name, tone in (("twin_loss_curve", "cool"), ("loss_curve", "warm"))
    ]
    shares = [_draw_share(rows, tone) for tone, rows in looks.items() if rows]
    losses = [line for line in losses if len(line.x)]
    return {
        "share_plot": render_lines(
            shares, name="share", xlabel="optimizer step", ylabel="outputs that are copies"
        )
        if shares
        else "",
        "loss_plot": render_lines(
            losses, name="loss", xlabel="optimizer step", ylabel="denoising loss", log=True
        )
        if losses
        else "",
        "looks": [
            (step, n, counts, format_percent(counts["copy"] / n))
            for step, n, counts in looks["warm"]
        ],
    }


def _read_looks(entries: Sequence[object]) -> list[tuple[int, int, dict[str, int]]]:
    rows = []
    for entry in map(get_mapping, entries):
        step, n = get_count(entry.get("step")), get_count(entry.get("n"))
        if step is not None and n:
            names = ("copy", "grey", "novel")
            rows.append((step, n, {name: get_count(entry.get(name)) or 0 for name in names}))
    return rows


def _draw_share(rows: Sequence[tuple[int, int, dict[str, int]]], tone: str) -> Line:
    steps = np.array([step for step, _, _ in rows], dtype=float)
    shares = np.array([counts["copy"] / n for _, n, counts in rows])
    return Line(tone, steps, shares)


def _read_pairs(entries: Sequence[object], tone: str) -> Line:
    pairs = [
        (get_number(pair[0]), get_number(pair[1]))
        for pair in map(get_list, entries)
        if len(pair) == 2
    ]
    known = [(x, y) for x, y in pairs if x is not None and y is not None and y > 0]
    table = np.array(known, dtype=float).reshape(-1, 2)
    return Line(tone, table[:, 0], table[:, 1])
