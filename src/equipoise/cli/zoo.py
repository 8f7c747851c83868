"""`equipoise zoo`: the trained models that ship with the package."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from equipoise.cli.output import Json, emit, tabulate
from equipoise.errors import BadInputError

zoo = App(name="zoo", help="The trained models that ship with the package.")

Name = Annotated[str, Parameter(help="Name of the model, see `equipoise zoo list`.")]


@zoo.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """List the models of the zoo.

    Args:
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.zoo.package import MODELS
    from equipoise.zoo.recipe import RECIPES

    rows = [_summarize(MODELS / name) for name in RECIPES]
    head = ["name", "family", "parameters", "planted", "copies among its outputs"]
    table = [
        [
            f"zoo:{row['name']}",
            row["family"],
            f"{row['parameters'] / 1e6:.2f} M",
            str(row["planted"]),
            "-" if row["copies"] is None else f"{row['copies']['value']:.1%}",
        ]
        for row in rows
    ]
    emit(rows, tabulate(head, table), as_json=as_json)


@zoo.command
def train(
    name: Name, *, out: Path = Path("runs/zoo"), data: Path | None = None, as_json: Json = False
) -> None:
    """Train a model and its clean twin again by their recipes, and calibrate the model.

    Args:
        out: Folder to write the packages to.
        data: Folder with the gzip files of Fashion-MNIST; default Debian's package.
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.bench.build import build_zoo_model
    from equipoise.zoo.fashion import DEBIAN_FOLDER

    plain = name.removeprefix("zoo:")
    if plain.endswith("-clean"):
        raise BadInputError(
            f'"{plain}" is a clean twin: train "{plain.removesuffix("-clean")}", it makes both.'
        )
    build_zoo_model(plain, out, data or DEBIAN_FOLDER)
    summary = _summarize(out / plain)
    emit(summary | {"folder": str(out / plain)}, f"written to {out / plain}", as_json=as_json)


@zoo.command
def check(name: Name, *, as_json: Json = False) -> None:
    """Check hashes, fingerprint and first outputs of a shipped model against its card.

    Args:
        as_json: Print one JSON document on standard output and nothing else.
    """
    from dataclasses import asdict

    from equipoise.bench.check import check_zoo_model

    checks = check_zoo_model(name)
    failed = [item.name for item in checks if not item.passed]
    rows = [["ok" if c.passed else "DIFFERS", c.name, c.expected, c.found] for c in checks]
    document = {"passed": not failed, "checks": [asdict(item) for item in checks]}
    emit(document, tabulate(["", "what", "card", "found"], rows), as_json=as_json)
    if failed:
        raise BadInputError(f"{name} differs from its card in: {', '.join(failed)}.")


def _summarize(folder: Path) -> dict[str, Any]:
    from equipoise.zoo.package import read_card

    card = read_card(folder)
    return {
        "name": card["name"],
        "family": card["family"],
        "parameters": card["parameters"],
        "planted": len(card["planted"]),
        "copies": card.get("outputs", {}).get("copies"),
        "fingerprint": card["fingerprint"],
        "licence": card["licence"],
    }
