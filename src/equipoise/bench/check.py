"""Check shipped zoo models and saves against their cards, from their weights."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from equipoise.bench.build import CHECKED_OUTPUTS
from equipoise.bench.grid import draw_grid, measure_psnr
from equipoise.bench.outputs import count_labels, generate_outputs
from equipoise.bench.watch import look
from equipoise.denoisers import fingerprint
from equipoise.detection import load_calibration
from equipoise.zoo.fashion import content_hash
from equipoise.zoo.package import CALIBRATION, MODELS, TOLD, ZooModel, load_zoo, read_card
from equipoise.zoo.recipe import RECIPES

# Another processor rounds otherwise; a picture at the edge of a label may fall to either side.
TOLERATED_SHARE = 0.02
SAME_PSNR = 35
"""Of two drawings of one grid, dB: what is left is rounding."""
LABELS = ("copy", "grey", "novel")


@dataclass(frozen=True)
class Check:
    """One thing that was compared: what the card says, what was found."""

    name: str
    expected: str
    found: str
    passed: bool


def list_shipped(folder: Path = MODELS) -> list[str]:
    """Name every model of the zoo and every earlier save, `NAME@STEP`."""
    names = []
    for name in RECIPES:
        saves = read_card(folder / name).get("saves", {})
        names += [name, *(f"{name}@{step}" for step in sorted(saves.values()))]
    return names


def check_zoo_model(name: str, folder: Path = MODELS) -> list[Check]:
    """Compare hashes, fingerprint and outputs of a zoo model, or of a save, with its card."""
    model = load_zoo(name, folder)
    step = name.partition("@")[2]
    originals = model.training_set.images[: model.recipe.num_images]
    checks = [
        _equal("training images", model.card["originals_sha256"], content_hash(originals)),
        _equal("held-out images", model.card["held_out_sha256"], content_hash(model.held_out)),
    ]
    if step:
        return [*checks, *_check_look(model, int(step))]
    expected = model.card["fingerprint"]
    checks.append(_equal("weights", expected, fingerprint(model.denoiser)))
    if model.recipe.is_twin:
        return [*checks, *_check_look(model, model.recipe.steps)]
    own = folder / model.recipe.name
    for path in (own / CALIBRATION, *own.glob(TOLD)):
        checks.append(_equal(path.stem, expected, load_calibration(path).fingerprint))
    outputs = generate_outputs(model, CHECKED_OUTPUTS, seed=model.recipe.seed, stream="recipe")
    found = count_labels(outputs, CHECKED_OUTPUTS)
    checks.append(_close("first outputs", model.card["outputs"]["first"], found))
    return [*checks, *_check_grid(model, own)]


def _check_grid(model: ZooModel, folder: Path) -> list[Check]:
    """Draw the grid of a text-to-image model again, with stock diffusers."""
    if "grid" not in model.card:
        return []
    record = model.card["grid"]
    drawn = draw_grid(folder, record)
    with Image.open(folder / record["file"]) as shipped:
        psnr = measure_psnr(drawn, shipped.convert("RGB"))
    told = f"at least {SAME_PSNR} dB"
    return [Check("samples by diffusers", told, f"{psnr:.0f} dB", psnr >= SAME_PSNR)]


def _check_look(model: ZooModel, step: int) -> list[Check]:
    """Repeat what was seen at a step of the training, where that was recorded."""
    looks = {seen["step"]: seen for seen in model.card["training"].get("looks", [])}
    if step not in looks:
        return []
    seen, found = looks[step], look(model, model.denoiser, step)
    kept = ("n", *LABELS)
    return [
        _close(
            f"outputs at step {step}",
            {key: seen[key] for key in kept},
            {key: found[key] for key in kept},
        )
    ]


def _close(name: str, expected: dict[str, int], found: dict[str, int]) -> Check:
    """Compare counts of labels, up to a rounding that falls to the other side."""
    worst = max(abs(found[key] - expected[key]) for key in LABELS)
    passed = found["n"] == expected["n"] and worst <= TOLERATED_SHARE * expected["n"]
    return Check(name, str(expected), str(found), passed)


def _equal(name: str, expected: str, found: str) -> Check:
    return Check(name, expected, found, expected == found)
