"""docs/detectors/NAME.md: a page a detector, from its card, its docstrings and docs/bench.json.

The table of docs/detectors.md, between two marks, is made from the same cards.
"""

import ast
import importlib
import json
import re
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import equipoise
from docstring import find_definition, list_fields, parse_file, read_docstring
from equipoise.auditing.adapter_residual import LogResidual
from equipoise.bench.baselines import DenoisingResidual, PictureBaseline
from equipoise.bench.wording import PromptBaseline
from equipoise.detection import (
    Anisotropy,
    AttentionEntropy,
    IntrinsicDimension,
    NoiseGap,
    OneStepConfidence,
    OneStepSimilarity,
    ResidualGain,
    Sharpness,
    Spikiness,
    TiledDistance,
)

FOLDER, OVERVIEW = Path("docs/detectors"), Path("docs/detectors.md")
START, END = "<!-- cards -->", "<!-- end of cards -->"
SOURCE = Path(equipoise.__file__).parent
SIGMA = 0.1
EXAMPLES = (
    Spikiness(sites=("site",), sigma=SIGMA),
    Spikiness(sites=("site",), sigma=SIGMA, condition="own"),
    IntrinsicDimension(sigma=SIGMA),
    ResidualGain(sigma=SIGMA),
    NoiseGap(sigma=SIGMA),
    OneStepSimilarity(sigma=SIGMA),
    Sharpness(sigma=SIGMA),
    AttentionEntropy(sigma=SIGMA),
    Anisotropy(sigma=SIGMA, sigma_low=SIGMA),
    OneStepConfidence(sigma=SIGMA),
    TiledDistance(),
    DenoisingResidual(sigma=SIGMA),
    LogResidual(sigma=SIGMA),
    PictureBaseline(statistic="pixel_variance"),
    PromptBaseline(statistic="caption_length"),
)
"""One of each class with its default settings; a card does not depend on the noise level.

Of a class with two cards the first example has the page, and both have a row in the table.
"""


def build(root: Path) -> dict[Path, str]:
    """Build the pages, and the table of the overview.

    Raises:
        ValueError: when a class with a card has no example here.
    """
    known = {type(example).__name__ for example in EXAMPLES}
    if known != set(_list_classes()):
        odd = ", ".join(known ^ set(_list_classes()))
        raise ValueError(f"pages/detector_pages.py needs an example of each detector: {odd}")
    figures = json.loads((root / "docs" / "bench.json").read_text())["rows"]
    pages = {locate(example): _build_page(example, figures) for example in reversed(EXAMPLES)}
    overview = (root / OVERVIEW).read_text()
    before, rest = overview.split(START)
    pages[OVERVIEW] = f"{before}{START}\n{_build_table()}\n{END}{rest.split(END)[1]}"
    return pages


def locate(example: Any) -> Path:  # noqa: ANN401 - any detector or baseline
    """Say where the page of a detector lies: words of its class, joined by hyphens."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", type(example).__name__).lower()
    return FOLDER / f"{words}.md"


def _list_classes() -> list[str]:
    """Name every class of the package that has a card of its own."""
    return [
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(parse_file(path))
        if isinstance(node, ast.ClassDef)
        and node.name not in {"Detector", "DrawnDetector"}
        and any(isinstance(n, ast.FunctionDef) and n.name == "card" for n in node.body)
    ]


def _build_table() -> str:
    lines = ["| detector | score | needs | passes an item | source |", "|---|---|---|---|---|"]
    for example in EXAMPLES:
        card, name = example.card, type(example).__name__
        name += ", told" if getattr(example, "condition", "empty") == "own" else ""
        link = f"[{name}](detectors/{locate(example).name})"
        needs = ", ".join(card.needs)
        lines.append(
            f"| {link} | `{_bar(card.formula)}` | {needs} | {card.evaluations} | "
            f"{_link_source(card.source)} |"
        )
    return "\n".join(lines)


def _build_page(example: Any, figures: list[dict[str, Any]]) -> str:  # noqa: ANN401
    kind, card = type(example), example.card
    path = SOURCE.joinpath(*kind.__module__.split(".")[1:]).with_suffix(".py")
    node = find_definition(path, kind.__name__)
    assert isinstance(node, ast.ClassDef)
    theory = read_docstring(parse_file(path))
    room = ".".join(kind.__module__.split(".")[:2])
    home = room if hasattr(importlib.import_module(room), kind.__name__) else kind.__module__
    lines = [
        f"# {kind.__name__}", "", read_docstring(node).summary, "",
        f"- **Score**: `{card.formula}`",
        f"- **Why high should mean memorized**: {card.direction}",
        f"- **Needs beyond images**: {', '.join(card.needs) or 'nothing'}",
        f"- **Passes through the network an item**: {card.evaluations}, with the settings below",
        f"- **Source**: {_link_source(card.source)}",
        f"- **Import**: `from {home} import {kind.__name__}`",
        "", "## What it measures", "", theory.text, "",
        "## Settings", "", *_list_settings(node, kind), "",
        "## In the comparison", "", *_list_figures(example, figures), "",
        "How detectors are used and compared: [detectors](../detectors.md), "
        "[commands](../commands.md#equipoise-bench).", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _list_settings(node: ast.ClassDef, kind: type[BaseModel]) -> list[str]:
    """List the fields of the class and those it shares with its frame."""
    shared = SOURCE / "detection" / "drawn.py"
    frame = find_definition(shared, "DrawnDetector")
    assert isinstance(frame, ast.ClassDef)
    drawn = any(base.__name__ == "DrawnDetector" for base in kind.__mro__)
    fields = (list_fields(frame) if drawn else {}) | list_fields(node)
    lines = []
    for name, (annotation, _, meaning) in fields.items():
        field = kind.model_fields[name]
        words = typing.get_args(field.annotation)
        if typing.get_origin(field.annotation) is typing.Literal:
            annotation = " or ".join(repr(word) for word in words)
        told = "must be given" if field.is_required() else f"default `{field.get_default()!r}`"
        lines.append(f"- `{name}` (`{annotation}`, {told}): {meaning}")
    return lines


def _list_figures(example: Any, figures: list[dict[str, Any]]) -> list[str]:  # noqa: ANN401
    stem = locate(example).stem.replace("-", "_")
    statistics = type(example).model_fields.get("statistic")
    names = set(getattr(statistics.annotation, "__args__", ())) if statistics else set()
    rows = [
        row for row in figures
        if row["detector"].startswith(stem)
        or row["detector"] in names
        or (stem == "spikiness" and row["detector"] in {"paper_statistic", "told_spikiness"})
    ]  # fmt: skip
    if not rows:
        return ["It does not take part in the table of the README."]
    lines = [
        "| model | name in the table | AUROC | copies found at its 1 % |",
        "|---|---|---|---|",
    ]
    for row in rows:
        head = f"| `{row['model']}` | {row['detector'].replace('_', ' ')} |"
        if row["reason"]:
            lines.append(f"{head} left out: {row['reason']} | |")
        else:
            lines.append(f"{head} {_rate(row['auroc'])} | {_rate(row['tpr_at_1pct_fpr'])} |")
    told = {
        f"{row['n']['copies']} copies of {row['n']['planted_images']} planted images and "
        f"{row['n']['novel']} novel outputs of {row['model']}"
        for row in rows
        if not row["reason"]
    }
    if told:
        lines += [
            "",
            f"Measured by `make bench-table` on {'; '.join(sorted(told))}; 95 % intervals.",
        ]
    return lines


def _rate(rate: dict[str, Any]) -> str:
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def _bar(formula: str) -> str:
    """Write norms with the sign of a norm: a bar ends a cell of a table."""
    return formula.replace("||", "‖")


def _link_source(source: str) -> str:
    linked = re.sub(r"(\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", source)
    return linked.replace(" | ", ", ")
