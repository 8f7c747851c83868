"""The page of the phase diagrams: heat maps with the theory's boundary, from the run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from equipoise.errors import RunError
from equipoise.report.plot import Line, render_heatmap
from equipoise.report.rate import Rate, get_list, get_mapping, get_number, get_rate
from equipoise.report.table import list_record
from equipoise.report.wording import format_interval, format_share
from equipoise.runs import Run

LABELS = {"units": "hidden units p", "copies": "copies of each duplicate"}
XLABELS = {"units": "training images n, once each", "copies": "other training images n, once each"}


@dataclass(frozen=True)
class Diagram:
    """One phase diagram: what is stored, how spiky it is answered, and the cells as a table."""

    name: str
    stored: Markup
    spread: Markup
    cells: list[Mapping[str, Any]]
    error: Rate
    enough: Rate
    constant: Rate
    kept: Rate
    """Trainings from the closed form, where one from random weights stored too few."""


def build_phase(run: Run) -> dict[str, Any]:
    """Build what `phase.html.j2` shows.

    Raises:
        RunError: when a diagram has no cells.
    """
    results, spec = run.record.results, run.record.spec
    cells = [get_mapping(cell) for cell in get_list(results.get("cells"))]
    missing = sorted({*LABELS} - {str(cell.get("diagram")) for cell in cells})
    if missing:
        raise RunError(
            f'"{run.path}" has no cells of the diagram {", ".join(missing)}: its page shows '
            f"{', '.join(LABELS)}. Copy the whole folder again, or repeat the run."
        )
    diagrams = [_build_diagram(name, cells, results) for name in LABELS]
    return {
        **list_record(run),
        "mixture": get_mapping(spec.get("mixture")),
        "grid": get_mapping(spec.get("grid")),
        "sentence": _build_sentence(diagrams),
        "diagrams": diagrams,
        "boundary": get_mapping(results.get("boundary")),
    }


def _build_sentence(diagrams: Sequence[Diagram]) -> str:
    """Say in one sentence how well the theory knows what is stored."""
    units, copies = diagrams
    return (
        "Networks store what the theory gives a unit of its own: the share of images found among "
        f"the columns differs from the predicted one by {format_share(units.error.value)} "
        f"({format_interval(units.error)}) on average, where the best constant is off by "
        f"{format_share(units.constant.value)}; with duplicates by "
        f"{format_share(copies.error.value)} ({format_interval(copies.error)}) against "
        f"{format_share(copies.constant.value)}."
    )


def _build_diagram(
    name: str, cells: Sequence[Mapping[str, Any]], results: Mapping[str, Any]
) -> Diagram:
    own = [cell for cell in cells if cell.get("diagram") == name]
    rows = sorted({int(cell[name]) for cell in own})
    columns = sorted({int(cell["images"]) for cell in own})
    lines = _list_lines(name, get_mapping(results.get("boundary")), rows, columns)

    def draw(key: str, *, percent: bool) -> Markup:
        found = {(int(cell[name]), int(cell["images"])): float(cell[key]) for cell in own}
        values = np.array([[found[row, column] for column in columns] for row in rows])
        return render_heatmap(
            values, rows=rows, columns=columns, lines=lines, name=f"{name}-{key}",
            xlabel=XLABELS[name], ylabel=LABELS[name], percent=percent,
        )  # fmt: skip

    errors = get_mapping(get_mapping(results.get("error")).get(name))
    return Diagram(
        name,
        draw("stored", percent=True),
        draw("score", percent=False),
        own,
        get_rate(errors.get("allocation")),
        get_rate(errors.get("enough_units")),
        get_rate(errors.get("constant")),
        get_rate(get_mapping(results.get("kept")).get(name)),
    )


def _list_lines(
    name: str, boundary: Mapping[str, Any], rows: Sequence[int], columns: Sequence[int]
) -> list[Line]:
    """List the theory's boundary and, for units, the paper's condition p = n, dashed."""
    ends = np.array([columns[0] / 2, columns[-1] * 2], dtype=float)
    if name == "copies":
        return [Line("cool", ends, ends * (get_number(boundary.get("copy_share")) or np.nan))]
    points = [get_mapping(point) for point in get_list(boundary.get("units"))]
    x, y = np.array([(point["images"], point["units"]) for point in points]).reshape(-1, 2).T
    last = get_number(boundary.get("last_images")) or np.nan
    return [
        Line("muted", ends, ends),
        Line("cool", np.append(x, [last, last]), np.append(y, [y[-1], 2.0 * rows[-1]])),
    ]
