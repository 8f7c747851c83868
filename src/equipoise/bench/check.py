"""Check a shipped zoo model against its card, from its weights."""

from dataclasses import dataclass
from pathlib import Path

from equipoise.bench.build import CHECKED_OUTPUTS
from equipoise.bench.outputs import count_labels, generate_outputs
from equipoise.denoisers import fingerprint
from equipoise.detection import load_calibration
from equipoise.zoo.fashion import content_hash
from equipoise.zoo.package import MODELS, load_zoo

# Another processor rounds otherwise; a picture at the edge of a label may fall to either side.
TOLERATED_SHARE = 0.02


@dataclass(frozen=True)
class Check:
    """One thing that was compared: what the card says, what was found."""

    name: str
    expected: str
    found: str
    passed: bool


def check_zoo_model(name: str, folder: Path = MODELS) -> list[Check]:
    """Compare hashes, fingerprint and the first outputs of a zoo model with its card."""
    model = load_zoo(name, folder)
    card = model.card
    originals = model.training_set.images[: model.recipe.num_images]
    checks = [
        _equal("weights", card["fingerprint"], fingerprint(model.denoiser)),
        _equal("training images", card["originals_sha256"], content_hash(originals)),
        _equal("held-out images", card["held_out_sha256"], content_hash(model.held_out)),
    ]
    if model.recipe.is_twin:
        return checks
    calibration = load_calibration(folder / model.recipe.name / "calibration.json")
    checks.append(_equal("calibration", card["fingerprint"], calibration.fingerprint))
    outputs = generate_outputs(model, CHECKED_OUTPUTS, seed=model.recipe.seed, stream="recipe")
    found, expected = count_labels(outputs, CHECKED_OUTPUTS), card["outputs"]["first"]
    worst = max(abs(found[key] - expected[key]) for key in expected)
    passed = worst <= TOLERATED_SHARE * CHECKED_OUTPUTS
    return [*checks, Check("first outputs", str(expected), str(found), passed)]


def _equal(name: str, expected: str, found: str) -> Check:
    return Check(name, expected, found, expected == found)
