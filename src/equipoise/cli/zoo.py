"""`equipoise zoo`: the trained models that ship with the package."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from equipoise.cli.output import Count, Device, Json, emit, name_run, show_rate, tabulate
from equipoise.errors import BadInputError

zoo = App(name="zoo", help="The trained models that ship with the package.")

Name = Annotated[str, Parameter(help="Name of the model, see `equipoise zoo list`.")]


@zoo.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """List the models of the zoo."""
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
def check(name: str | None = None, *, as_json: Json = False) -> None:
    """Check hashes, fingerprints and outputs of shipped models against their cards.

    Args:
        name: Name of one model, or `NAME@STEP` of a save; default all of them.
    """
    from dataclasses import asdict

    from equipoise.bench.check import check_zoo_model, list_shipped

    plain = None if name is None else name.removeprefix("zoo:")
    found = {one: check_zoo_model(one) for one in ([plain] if plain else list_shipped())}
    checks = [{"model": one} | asdict(item) for one, items in found.items() for item in items]
    failed = [item for item in checks if not item["passed"]]
    rows = [
        ["ok" if c["passed"] else "DIFFERS", c["model"], c["name"]]
        + [_shorten(c[side]) for side in ("expected", "found")]
        for c in checks
    ]
    head = ["", "model", "what", "card", "found"]
    emit({"passed": not failed, "checks": checks}, tabulate(head, rows), as_json=as_json)
    if failed:
        told = ", ".join(f"{item['model']} in {item['name']}" for item in failed)
        raise BadInputError(f"The zoo differs from its cards: {told}.")


def _shorten(value: str) -> str:
    """Return the beginning of a hash; what people read is left whole."""
    return value if " " in value else value[:16]


@zoo.command
def show(
    name: Name,
    *,
    num_samples: Count = 1000,
    seed: int = 0,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Draw fresh outputs of a model and write a page: what it copies, what it invents.

    Args:
        num_samples: Outputs to draw.
        seed: Seed of the outputs.
        out: Run folder to write; default runs/zoo-TIME.
    """
    from equipoise.bench.parts import load_exhibit
    from equipoise.bench.show import run_show
    from equipoise.report import render_report

    folder = out or name_run("zoo")
    exhibit = load_exhibit(name, device=device)
    run = run_show(exhibit, folder, seed=seed, num_samples=num_samples)
    report = render_report(run.path)
    results = run.record.results
    keys = ("labels", "copies", "copies_below_half", "images_copied", "copies_not_planted")
    document = {key: results[key] for key in (*keys, "control", "obedience")} | {
        "planted": len(results["planted"]),
        "report": str(report),
        "run": str(run.path),
        "seconds": run.record.cost["seconds"],
    }
    emit(document, _describe(document), as_json=as_json)


def _describe(document: dict[str, Any]) -> str:
    labels = document["labels"]
    lines = [
        f"{labels['copy']} copies of {document['images_copied']} of {document['planted']} planted "
        f"images, {labels['grey']} grey, {labels['novel']} novel.",
        f"copies: {show_rate(document['copies'])}; at half the mean distance: "
        f"{show_rate(document['copies_below_half'])}",
        f"copies of images that were not planted: {show_rate(document['copies_not_planted'])}",
    ]
    arms = document["control"] or {}
    rows = [[arm.replace("_", " "), show_rate(rate)] for arm, rate in arms.items()]
    if rows:
        lines += ["", tabulate(["control", "AUROC"], rows)]
    asked = (document["obedience"] or {}).get("unseen", {})
    if asked:
        rows = [[name, show_rate(rate)] for name, rate in asked.items()]
        lines += ["", tabulate(["asked by unseen captions", "as asked"], rows)]
    return "\n".join([*lines, "", f"report: {document['report']}"])


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
