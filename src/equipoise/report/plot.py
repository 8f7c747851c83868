"""The plots: score histogram, ROC with its band, activation profiles, heat maps.

Only names of our own go into a plot; foreign text (sources, sites) stays in the template, which
escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter

from equipoise.report.vector import STYLE, TONES, build_figure, render_svg

BINS = 48
MARKED = 20
"""Most points of a line that are marked one by one."""
STRONGEST = 0.55
"""Opacity of the highest cell of a heat map: its number stays legible, on light and on dark."""


@dataclass(frozen=True)
class Group:
    """Scores that are drawn as one row of the histogram."""

    name: str
    tone: str
    scores: Float[np.ndarray, " sample"]


@dataclass(frozen=True)
class Curve:
    """A ROC curve; the band is a pointwise 95 % interval and may be empty."""

    fpr: Float[np.ndarray, " point"]
    tpr: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " band"]
    high: Float[np.ndarray, " band"]


@dataclass(frozen=True)
class Line:
    """Something that changed over the steps of a training, or over a strength; perhaps a band."""

    tone: str
    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " point"] | None = None
    high: Float[np.ndarray, " point"] | None = None


def render_histogram(
    groups: Sequence[Group],
    threshold: float | int | None,
    *,
    name: str = "histogram",
    xlabel: str = "score: balanced on the left, spiky on the right",
) -> Markup:
    """Draw one row of scores a group, with the threshold through all of them."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 56 * len(groups) + 44)
        axes = figure.add_subplot()
        edges = _build_edges(groups, threshold)
        for level, group in enumerate(reversed(groups)):
            _draw_row(axes, group, edges, level)
        if threshold is not None:
            _draw_threshold(axes, threshold, len(groups))
        names = [f"{group.name}\n{len(group.scores):,}" for group in reversed(groups)]
        axes.set_yticks(np.arange(len(groups)) + 0.3, names)
        axes.tick_params(axis="y", length=0, labelcolor=TONES["ink"])
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, len(groups) + 0.12))
        axes.set_xlabel(xlabel)
        return render_svg(figure, name=name)


def render_roc(curve: Curve, *, promised: float | None, log: bool) -> Markup:
    """Draw true against false positives, on a linear or logarithmic axis."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 290)
        axes = figure.add_subplot()
        axes.grid(True)
        if len(curve.low) == len(curve.fpr):
            axes.fill_between(
                curve.fpr, curve.low, curve.high, color=TONES["ink"], alpha=0.16, linewidth=0
            )
        axes.plot(curve.fpr, curve.tpr, color=TONES["ink"], linewidth=1.8)
        chance = np.geomspace(1e-4, 1, 50)
        axes.plot(chance, chance, color=TONES["muted"], linewidth=1, linestyle=(0, (2, 3)))
        if promised is not None:
            axes.axvline(promised, color=TONES["warm"], linewidth=1.2)
        _scale_roc(axes, curve, log=log)
        return render_svg(figure, name="roc-log" if log else "roc")


def render_rocs(lines: Sequence[Line], *, name: str) -> Markup:
    """Draw several ROC curves, x false and y true positives, the false ones logarithmic."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 290)
        axes = figure.add_subplot()
        axes.grid(True)
        for line in lines:
            shown = line.x > 0  # zero has no place on a logarithmic axis
            axes.plot(line.x[shown], line.y[shown], color=TONES[line.tone], linewidth=1.7)
        chance = np.geomspace(1e-4, 1, 50)
        axes.plot(chance, chance, color=TONES["muted"], linewidth=1, linestyle=(0, (2, 3)))
        empty = np.empty(0)
        _scale_roc(axes, Curve(lines[0].x, lines[0].y, empty, empty), log=True)
        return render_svg(figure, name=name)


def render_profile(
    values: Float[np.ndarray, " unit"],
    *,
    tone: str,
    limits: tuple[float, float],
    name: str = "profile",
) -> Markup:
    """Draw the activation of each unit as a bar."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 180)
        axes = figure.add_subplot()
        units = np.arange(len(values) + 1)
        axes.fill_between(
            units, np.append(values, values[-1:]), step="post", color=TONES[tone], linewidth=0
        )
        axes.axhline(0, color=TONES["muted"], linewidth=0.8)
        axes.spines["bottom"].set_visible(False)
        axes.set(xlim=(0, len(values)), ylim=limits, xlabel="unit", ylabel="activation")
        return render_svg(figure, name=f"{name}-{tone}")


def render_lines(
    lines: Sequence[Line], *, name: str, xlabel: str, ylabel: str, log: bool = False
) -> Markup:
    """Draw what changed over the steps of a training, one line a model."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 220)
        axes = figure.add_subplot()
        axes.grid(True)
        for line in lines:
            color, mark = TONES[line.tone], "o" if len(line.x) <= MARKED else ""
            axes.plot(
                line.x, line.y, color=color, linewidth=1.6, marker=mark, markersize=3.5,
                clip_on=bool(np.any(line.y < 0)),  # whole marks on the axes
            )  # fmt: skip
            if line.low is not None and line.high is not None:
                axes.fill_between(
                    line.x, line.low, line.high, color=color, alpha=0.16, linewidth=0
                )
        if log:
            _scale_log(axes, np.concatenate([line.y for line in lines]))
        else:
            axes.set_ylim(0, 1.04 * axes.get_ylim()[1])  # room for the marks of the highest points
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_xlim(left=0)
        return render_svg(figure, name=name)


def render_boundary(
    x: Float[np.ndarray, " point"],
    y: Float[np.ndarray, " point"],
    *,
    name: str,
    xlabel: str,
    ylabel: str,
) -> Markup:
    """Draw a ratio against a number that should be below zero; both borders are marked."""
    with mpl.rc_context(STYLE):
        figure = build_figure(360, 220)
        axes = figure.add_subplot()
        axes.grid(True)
        axes.axvline(0, color=TONES["muted"], linewidth=1.2)
        axes.axhline(1, color=TONES["muted"], linewidth=1, linestyle=(0, (2, 3)))
        axes.plot(x, y, color=TONES["warm"], linewidth=1.6, marker="o", markersize=3.5)
        _scale_log(axes, y)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        return render_svg(figure, name=name)


def render_heatmap(
    values: Float[np.ndarray, "row column"],
    *,
    rows: Sequence[int],
    columns: Sequence[int],
    lines: Sequence[Line],
    name: str,
    xlabel: str,
    ylabel: str,
    percent: bool = False,
) -> Markup:
    """Draw a value for each pair of numbers, both on logarithmic scales, with lines across.

    Args:
        values: What is drawn; the higher the darker, from the lowest to the highest.
        rows: Number of each row, rising upwards.
        columns: Number of each column, rising to the right.
        lines: Their x and y are such numbers; muted ones are dashed.
        name: Unique on the page.
        xlabel: What the columns are.
        ylabel: What the rows are.
        percent: Whether the values are shares.
    """
    with mpl.rc_context(STYLE):
        figure = build_figure(360, max(40 * len(rows), 110) + 50)
        axes = figure.add_subplot()
        low, high = float(values.min()), float(values.max())
        for row, column in np.ndindex(*values.shape):
            value = float(values[row, column])
            strength = (value - low) / (high - low or 1)
            axes.add_patch(
                Rectangle(
                    (column, row), 1, 1, color=TONES["warm"], alpha=STRONGEST * strength, lw=0
                )
            )
            told = f"{100 * value:.0f}" if percent else f"{value:.2f}"
            axes.text(column + 0.5, row + 0.5, told, ha="center", va="center", zorder=4)
        for line in lines:
            style = (0, (3, 3)) if line.tone == "muted" else "-"
            x, y = _place(line.x, columns), _place(line.y, rows)
            axes.plot(x, y, color=TONES[line.tone], linewidth=2, linestyle=style)
        axes.set_xticks(np.arange(len(columns)) + 0.5, [f"{number:,}" for number in columns])
        axes.set_yticks(np.arange(len(rows)) + 0.5, [f"{number:,}" for number in rows])
        axes.tick_params(length=0)
        axes.set(xlim=(0, len(columns)), ylim=(0, len(rows)), xlabel=xlabel, ylabel=ylabel)
        return render_svg(figure, name=name)


def _place(numbers: Float[np.ndarray, " point"], ticks: Sequence[int]) -> np.ndarray:
    """Place numbers among cells that are a constant factor apart, also outside of them."""
    cells = np.log(ticks)
    step = (cells[-1] - cells[0]) / (len(ticks) - 1) if len(ticks) > 1 else 1.0
    return (np.log(numbers) - cells[0]) / step + 0.5


def _build_edges(
    groups: Sequence[Group], threshold: float | int | None
) -> Float[np.ndarray, " edge"]:
    """Lay the bins over all scores; the last 0.1 % on either side fall in the outer bins."""
    scores = np.concatenate([group.scores for group in groups])
    low, high = np.quantile(scores, [0.001, 0.999])
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    room = 0.02 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


def _draw_row(axes: Axes, group: Group, edges: Float[np.ndarray, " edge"], level: int) -> None:
    counts, _ = np.histogram(np.clip(group.scores, edges[0], edges[-1]), edges)
    heights = level + 0.86 * np.append(counts, counts[-1]) / max(counts.max(), 1)
    color = TONES[group.tone]
    axes.fill_between(edges, level, heights, step="post", color=color, alpha=0.3, linewidth=0)
    axes.step(edges, heights, where="post", color=color, linewidth=1.4)
    axes.axhline(level, color=TONES["line"], linewidth=0.8, zorder=0)


def _draw_threshold(axes: Axes, threshold: float | int, num_groups: int) -> None:
    axes.axvline(threshold, color=TONES["ink"], linewidth=1.2, linestyle=(0, (4, 2)))
    axes.annotate(
        f"threshold {threshold:.3g}", (threshold, num_groups + 0.1), xytext=(5, -3),
        textcoords="offset points", va="top",
    )  # fmt: skip


def _scale_log(axes: Axes, values: Float[np.ndarray, " point"]) -> None:
    """Make the upright axis logarithmic, with as many numbers on it as there is room for."""
    positive = values[values > 0]
    decades = float(np.log10(positive.max() / positive.min())) if len(positive) else 0.0
    subs = range(1, 10) if decades < 1 else (1, 2, 5) if decades < 2 else (1,)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=tuple(subs)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def _scale_roc(axes: Axes, curve: Curve, *, log: bool) -> None:
    percent = PercentFormatter(1, decimals=0, symbol=" %")
    axes.yaxis.set_major_formatter(percent)
    axes.set(ylim=(0, 1.01), ylabel="copies flagged")
    if not log:
        axes.xaxis.set_major_formatter(percent)
        axes.set(xlim=(-0.01, 1), xlabel="novel outputs flagged")
        return
    positive = curve.fpr[curve.fpr > 0]
    smallest = float(positive.min()) if len(positive) else 1e-3
    axes.set_xscale("log")
    axes.set(xlim=(max(smallest, 1e-4), 1), xlabel="novel outputs flagged, logarithmic")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.minorticks_off()
