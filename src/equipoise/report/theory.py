"""The page of the theory's figures: what trained ReLU-DAEs are, drawn from the run folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from equipoise.report.boundary import tell_damage
from equipoise.report.picture import build_picture
from equipoise.report.plot import (
    Group,
    Line,
    render_boundary,
    render_histogram,
    render_lines,
    render_profile,
)
from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.table import list_record
from equipoise.report.wording import format_count
from equipoise.runs import Run

REGIMES = {
    "memorizing": "Five images: columns are these images",
    "generalizing": "Many images, once each: columns are parts that images share",
    "hybrid": "Many images, the same five again and again: both kinds of columns",
    "crowded": "Many images, ten random ones again and again",
}
"""What there is to see in each row of columns."""
PARTS = ("columns", "boundary", "optimizers", "spread", "sampling", "spectrum")
SPREAD_SIDES = (("memorized", "warm", "duplicates"), ("others", "cool", "held out"))
"""Name, tone and words of what is told apart by the spread."""
Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Columns:
    """The columns of one trained network, and what was measured on it."""

    sigma: float | None
    pictures: list[str]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Std of the representation at one noise level: duplicates against held-out images."""

    sigma: float | None
    plot: Markup
    profiles: list[tuple[str, str, Markup]]
    auroc: Rate
    scale_free: Rate


@dataclass(frozen=True)
class Stack:
    """Samples of one stack, each beside its nearest training image."""

    name: str
    pairs: list[tuple[str, str]]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Sight:
    """Jacobians of one model at samples of one kind."""

    model: str
    side: str
    sigma: float | None
    cosines: list[float]
    ranks: list[float]
    pairs: list[tuple[str, str]]


def build_theory(run: Run) -> dict[str, Any]:
    """Build what `theory.html.j2` shows.

    Raises:
        RunError: when arrays are missing or cannot be read.
    """
    results, spec = run.record.results, run.record.spec
    tensors = {name: _load(run, name) for name in PARTS}
    networks = [get_mapping(row) for row in _list(results, "columns", "networks")]
    side = get_count(spec.get("side")) or 1
    sights = _list_sights(results, tensors["spectrum"], side)
    return {
        **list_record(run),
        "sentence": _build_sentence(networks),
        "regimes": [
            (name, told, _list_columns(name, networks, tensors["columns"], side))
            for name, told in REGIMES.items()
        ],
        "stored": _draw_pictures(tensors["columns"], "memorizing-stored", side),
        "networks": networks,
        **_draw_boundary(get_mapping(results.get("boundary"))),
        "optimizers": [get_mapping(row) for row in _list(results, "optimizers", "rows")],
        "spreads": _list_spreads(results, tensors["spread"]),
        "looked_at": [
            picture
            for name in ("memorized", "others")
            for picture in _draw_pictures(tensors["spread"], f"picture-{name}", side)
        ],
        "stacks": _list_stacks(results, tensors["sampling"], side),
        "sights": sights,
        "spectrum_plots": _draw_spectra(sights, tensors["spectrum"]),
    }


def _load(run: Run, name: str) -> Tensors:
    with tell_damage(run, "arrays", f"{name}.safetensors is missing or damaged"):
        return run.read_tensors(name)


def _list(results: Mapping[str, Any], part: str, key: str) -> list[Any]:
    return get_list(get_mapping(results.get(part)).get(key))


def _build_sentence(networks: list[Mapping[str, Any]]) -> str:
    """Say in one sentence what the columns turned out to be."""

    def count(regime: str) -> str:
        found = [get_count(n.get("stored_images")) for n in networks if n.get("regime") == regime]
        known = [number for number in found if number is not None]
        if not known:
            return "an unknown number of"
        low, high = format_count(min(known)), format_count(max(known))
        return low if low == high else f"{low} to {high}"

    return (
        f"Trained on five images that point apart, a network keeps {count('memorizing')} of them "
        f"as columns; repeated among many images it keeps {count('hybrid')} of the five. Of ten "
        f"repeated images that have many neighbours it keeps {count('crowded')}."
    )


def _list_columns(
    name: str, networks: list[Mapping[str, Any]], tensors: Tensors, side: int
) -> list[Columns]:
    own = [network for network in networks if network.get("regime") == name]
    return [
        Columns(
            get_number(network.get("sigma")),
            _draw_pictures(tensors, f"{name}-{get_number(network.get('sigma')):g}", side),
            network,
        )
        for network in own
    ]


def _draw_pictures(tensors: Tensors, name: str, side: int) -> list[str]:
    """Draw each row of an array as a picture, zero in the middle of the grey scale."""
    return [_draw_vector(row, side) for row in np.atleast_2d(tensors.get(name, np.zeros((0, 1))))]


def _draw_pairs(tensors: Tensors, name: str, beside: str, side: int) -> list[tuple[str, str]]:
    """Draw the rows of two arrays as pictures, pair by pair."""
    both = (_draw_pictures(tensors, one, side) for one in (name, beside))
    return list(zip(*both, strict=True))


def _draw_vector(vector: Float[np.ndarray, " dim"], side: int) -> str:
    scaled = vector / max(float(np.abs(vector).max()), 1e-12)
    pixels = (127.5 * (scaled + 1)).round().astype(np.uint8)
    return build_picture(pixels.reshape(1, side, -1))


def _draw_boundary(boundary: Mapping[str, Any]) -> dict[str, Any]:
    points = [get_mapping(point) for point in get_list(boundary.get("points"))]
    pairs = [(get_number(p.get("beta")), get_number(p.get("ratio"))) for p in points]
    known = [(beta, ratio) for beta, ratio in pairs if beta is not None and ratio is not None]
    x, y = np.array(known, dtype=float).reshape(-1, 2).T
    plot = render_boundary(
        x, y, name="boundary", xlabel="beta, the largest cosine", ylabel="trained / closed form"
    )
    return {"boundary": known, "boundary_plot": plot if known else ""}


def _list_spreads(results: Mapping[str, Any], tensors: Tensors) -> list[Spread]:
    rows = map(get_mapping, _list(results, "spread", "rows"))
    return [_build_spread(row, tensors, place) for place, row in enumerate(rows)]


def _build_spread(row: Mapping[str, Any], tensors: Tensors, place: int) -> Spread:
    """Draw both sides at one noise level, as far as their arrays are there, on one scale."""
    sigma = get_number(row.get("sigma"))
    label = f"{sigma:g}"
    known = [side for side in SPREAD_SIDES if f"{side[0]}-{label}" in tensors]
    groups = [Group(told, tone, tensors[f"{name}-{label}"]) for name, tone, told in known]
    units = [tensors[f"profile-{name}-{label}"] for name, _, _ in known]
    limits = (0.0, 1.05 * max([*(float(one.max()) for one in units), 1e-9]))
    return Spread(
        sigma,
        render_histogram(groups, None, name=f"spread-{place}") if groups else Markup(""),
        [
            (told, tone, render_profile(one, tone=tone, limits=limits, name=f"profile-{place}"))
            for one, (_, tone, told) in zip(units, known, strict=True)
        ],
        get_rate(row.get("std")),
        get_rate(row.get("std_over_norm")),
    )


def _list_stacks(results: Mapping[str, Any], tensors: Tensors, side: int) -> list[Stack]:
    found = get_mapping(results.get("sampling"))
    return [
        Stack(
            name,
            _draw_pairs(tensors, f"{name}-samples", f"{name}-nearest", side),
            get_mapping(found.get(name)),
        )
        for name in ("memorizing", "generalizing")
    ]


def _list_sights(results: Mapping[str, Any], tensors: Tensors, side: int) -> list[Sight]:
    return [
        Sight(
            model=str(row.get("model")),
            side=str(row.get("side")),
            sigma=get_number(row.get("sigma")),
            cosines=[float(c) for c in get_list(row.get("cosines"))],
            ranks=[float(r) for r in get_list(row.get("effective_ranks"))],
            pairs=_draw_pairs(tensors, f"{index}-samples", f"{index}-vectors", side),
        )
        for index, row in enumerate(map(get_mapping, _list(results, "spectrum", "rows")))
    ]


def _draw_spectra(sights: list[Sight], tensors: Tensors) -> list[tuple[str, Markup]]:
    """Draw one plot a model: memorized samples warm, new ones cool."""
    lines: dict[str, list[Line]] = {}
    for index, sight in enumerate(sights):
        values = np.atleast_2d(tensors[f"{index}-values"])
        median = np.median(values / values[:, :1], axis=0)
        tone = "warm" if sight.side == "memorized" else "cool"
        order = np.arange(1, len(median) + 1, dtype=float)
        lines.setdefault(sight.model, []).append(Line(tone, order, np.maximum(median, 1e-6)))
    return [
        (
            model,
            render_lines(
                found, name=f"spectrum-{place}", xlabel="singular value, by rank",
                ylabel="over the largest", log=True,
            ),
        )
        for place, (model, found) in enumerate(lines.items())
    ]  # fmt: skip
