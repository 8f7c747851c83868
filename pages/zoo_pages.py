"""docs/zoo/NAME.md: a page a model of the zoo, from its card, and the table of docs/zoo.md."""

import ast
import json
from collections import Counter
from pathlib import Path
from typing import Any

from docstring import find_definition, list_fields
from equipoise.zoo import recipe
from equipoise.zoo.package import CALIBRATION, MODELS, TOLD, read_card
from equipoise.zoo.recipe import RECIPES, find_twin

FOLDER, OVERVIEW = Path("docs/zoo"), Path("docs/zoo.md")
START, END = "<!-- cards -->", "<!-- end of cards -->"


def build(root: Path) -> dict[Path, str]:
    """Build a page for every model that `equipoise zoo list` names, and the table of all."""
    cards = {name: read_card(MODELS / name) for name in RECIPES}
    pages = {FOLDER / f"{name}.md": _build_page(name, card) for name, card in cards.items()}
    before, rest = (root / OVERVIEW).read_text().split(START)
    table = _build_table(cards)
    pages[OVERVIEW] = f"{before}{START}\n{table}\n{END}{rest.split(END)[1]}"
    return pages


def _build_table(cards: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| model | family | parameters | planted images | copies among its outputs |",
        "|---|---|---|---|---|",
    ]
    for name, card in cards.items():
        outputs = card.get("outputs")
        size, copies = card["parameters"] / 1e6, _percent(outputs["copies"]) if outputs else ""
        lines.append(
            f"| [`zoo:{name}`](zoo/{name}.md) | {card['family']} | {size:.2f} M "
            f"| {len(card['planted'])} | {copies} |"
        )
    return "\n".join(lines)


def _build_page(name: str, card: dict[str, Any]) -> str:
    twin = find_twin(RECIPES[name])
    sections = [
        f"# zoo:{name}",
        _introduce(name, card, twin.name if twin else None),
        _list_facts(name, card),
        _describe_planted(card),
        _describe_outputs(card),
        _describe_training(name, card),
        _describe_calibration(name),
        _describe_recipe(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduce(name: str, card: dict[str, Any], twin: str | None) -> str:
    if RECIPES[name].is_twin:
        planted = f"[`zoo:{name.removesuffix('-clean')}`]({name.removesuffix('-clean')}.md)"
        return (
            f"The clean twin of {planted}: the same recipe and the same {card['rows']:,} "
            "pictures, each shown once. What it has in common with its model is content, not "
            "memory."
        )
    beside = (
        f" Its control is [`zoo:{twin}`]({twin}.md), which saw every picture once." if twin else ""
    )
    return (
        f"{len(card['planted'])} of its {card['recipe']['num_images']:,} training images are "
        f"repeated, drawn by a recorded seed, so that what it memorizes is known.{beside}"
    )


def _list_facts(name: str, card: dict[str, Any]) -> str:
    commands = [
        f'eq.load("zoo:{name}")',
        f"equipoise zoo show {name}",
        f"equipoise zoo check {name}",
    ]
    rows = {
        "Family": card["family"],
        "Parameters": f"{card['parameters']:,}",
        "Fingerprint of the weights": f"`{card['fingerprint']}`",
        "Data": card["data"],
        "Standard deviation of the data": f"{card['data_std']:.3f}",
        "Rows of the training set": f"{card['rows']:,}",
        "Licence": card["licence"],
        "Open, look, check": ", ".join(f"`{command}`" for command in commands),
    }
    return "\n".join(f"- **{key}**: {told}" for key, told in rows.items())


def _describe_planted(card: dict[str, Any]) -> str:
    if not card["planted"]:
        return ""
    counts = Counter((item["kind"], item["multiplicity"]) for item in card["planted"])
    kinds = list(dict.fromkeys(kind for kind, _ in counts))
    times = sorted({multiplicity for _, multiplicity in counts})
    lines = [
        "## What is planted",
        "",
        f"| kind | {' | '.join(f'{one} times' for one in times)} |",
        f"|---{'|---' * len(times)}|",
        *(f"| {kind} | {' | '.join(str(counts[kind, one]) for one in times)} |" for kind in kinds),
        "",
        "Images of each kind by how many rows of the training set they fill. Half of each cell "
        "chooses, half reports.",
    ]  # fmt: skip
    return "\n".join(lines)


def _describe_outputs(card: dict[str, Any]) -> str:
    outputs = card.get("outputs")
    if not outputs:
        return ""
    copied = outputs["copies_by_planted_image"]
    return (
        "## What it makes\n\n"
        f"Of {outputs['n']:,} outputs {_percent(outputs['copies'])} are copies of {len(copied)} "
        f"of the {len(card['planted'])} planted images, {outputs['grey']:,} lie in the grey zone "
        f"and {outputs['novel']:,} are novel. An output is a copy when the nearest training image "
        "is nearer than a third of the mean distance to the next 50."
    )


def _describe_training(name: str, card: dict[str, Any]) -> str:
    told = card["training"]
    lines = [
        "## Its training",
        "",
        f"{card['recipe']['steps']:,} steps in {told['seconds'] / 60:.0f} minutes on "
        f"{told['threads']} thread(s), torch {told['torch']}; last loss "
        f"{told['loss_curve'][-1][1]:.3f}.",
    ]  # fmt: skip
    if told.get("looks"):
        lines += ["", "| step | outputs | copies | grey | novel |", "|---|---|---|---|---|"]
        lines += [
            f"| {look['step']:,} | {look['n']} | "
            f"{look['copy']} | {look['grey']} | {look['novel']} |"
            for look in told["looks"]
        ]
    if card.get("saves"):
        saves = ", ".join(f"`zoo:{name}@{step}`" for step in card["saves"].values())
        lines += ["", f"Earlier saves, before and at the onset of copying: {saves}."]
    return "\n".join(lines)


def _describe_calibration(name: str) -> str:
    titles = {CALIBRATION: "The detector that ships with it", TOLD: "The detector told the prompt"}
    found = [MODELS / name / file for file in titles if (MODELS / name / file).is_file()]
    return "\n\n".join(_describe_detector(path, titles[path.name]) for path in found)


def _describe_detector(path: Path, title: str) -> str:
    told = json.loads(path.read_text())
    detector, selection = told["detector"], told["selection"]
    sites = ", ".join(f"`{site}`" for site in detector["sites"])
    again = selection.get("rendered_again")
    against = (
        f" against novel outputs and {again} planted captions rendered again" if again else ""
    )
    scale = detector["scale"] or {}
    scaled = ", each unit scaled by its spread over novel outputs" if "std" in scale else ""
    if "axes" in scale:
        scaled = (
            f", units whitened by their covariance over novel outputs, {len(scale['axes'])} axes"
        )
    return (
        f"## {title}\n\n"
        f"The {detector['statistic']} over units of the {detector['pooling']}, at {sites}, sigma "
        f"{detector['sigma']:.3f}{scaled}; {detector['draws']} draws. Chosen among "
        f"{selection['cells']} combinations on {selection['copies']} copies of "
        f"{selection['planted_images']} planted images{against} (AUROC there "
        f"{selection['auroc']:.3f}). Its threshold promises {100 * told['promised']:g} % false "
        f"positives, set on {len(told['scores']):,} outputs "
        f"({told['null']})."
    )


def _describe_recipe(card: dict[str, Any]) -> str:
    told = _read_meanings(card["name"])
    lines = ["## Recipe", "", "| field | value | meaning |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {_write(value)} | {told[name]} |" for name, value in card["recipe"].items()
    ]
    return "\n".join(lines)


def _read_meanings(name: str) -> dict[str, str]:
    """Read what the fields of a recipe mean, from the strings below them."""
    told: dict[str, str] = {}
    for kind in type(RECIPES[name]).__mro__:
        node = find_definition(Path(recipe.__file__), kind.__name__)
        if isinstance(node, ast.ClassDef):
            fields = list_fields(node).items()
            told |= {field: meaning.replace("|", r"\|") for field, (_, _, meaning) in fields}
    return told


def _write(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return ", ".join(f"{name} {_write(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _percent(rate: dict[str, Any]) -> str:
    value, low, high = (100 * rate[end] for end in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f} %)"
