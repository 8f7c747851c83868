"""Measure whether heat maps point at the memorized half of a picture.

    .venv/bin/python benchmarks/heatmaps.py > docs/figures-heatmaps.md

Every picture is half a planted training image, half an image that no model saw, cut through the
middle; each planted image comes with each of its four halves. Nothing is chosen: the detector is
the one that the model ships. Intervals resample planted images.
"""

import sys

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from equipoise.bench.pointing import draw_blob, measure_slopes, overlap, point, share
from equipoise.detection import load_calibration, measure_heat
from equipoise.images import as_unit, content_ids
from equipoise.runs import build_provenance
from equipoise.zoo.package import MODELS, ZooModel, load_zoo

MODELS_ASKED = ("edm-fashion", "edm-fashion-b", "dit-fashion")
MEASURES = {"warmest pixel in it": point, "overlap": overlap, "share of the warmth": share}
HALVES = 4
HEAD = """# Where heat maps point

`python benchmarks/heatmaps.py`. Every picture is half a planted training image, half an image that no model saw, cut
through the middle; each planted image comes with each of its four halves. The detector is the one that the model
ships, and nothing is chosen here. *Warmest pixel in it*: the pointing game on the planted half, chance .5. *Overlap*:
intersection over union of the planted half with as many warmest pixels, chance a third. *Share of the warmth*: what
raises the score, chance .5. Means over planted images with 95 % intervals that resample them. The slope of the score
at the pixels goes through the whole network. *Flagged ones*: those that the shipped calibration calls memorized.
"""
write = sys.stdout.write


def build_pictures(model: ZooModel) -> tuple[Tensor, Tensor, np.ndarray]:
    """Join halves; return pictures, where the planted half is, and which image it is of."""
    side = model.held_out.shape[-1]
    halves = torch.zeros(HALVES, side, side, dtype=torch.bool)
    halves[0, :, : side // 2] = halves[1, : side // 2] = True
    halves[2:] = ~halves[:2]
    planted = sorted(model.planted)
    regions = halves.repeat(len(planted), 1, 1)
    own = model.training_set.images[planted].repeat_interleave(HALVES, dim=0)
    pictures = torch.where(regions[:, None], own, model.held_out[: len(own)])
    return pictures, regions, np.repeat(planted, HALVES)


def estimate(values: Tensor, groups: np.ndarray) -> str:
    """Write a mean with its interval over planted images."""
    means = np.array([values.numpy()[groups == group].mean() for group in np.unique(groups)])
    drawn = stats.bootstrap((means,), np.mean, rng=np.random.default_rng(0), method="percentile")
    low, high = drawn.confidence_interval
    return f"{means.mean():.3f} ({low:.3f} to {high:.3f})"


def write_table(title: str, maps: dict[str, Tensor], regions: Tensor, groups: np.ndarray) -> None:
    """Write the measures of every kind of map on some pictures."""
    write(f"\n{title}, {len(regions)} pictures of {len(set(groups))} planted images:\n\n")
    write(f"| | {' | '.join(MEASURES)} |\n|---|{'---|' * len(MEASURES)}\n")
    for name, drawn in maps.items():
        values = [measure(drawn, regions).double() for measure in MEASURES.values()]
        write(f"| {name} | {' | '.join(estimate(one, groups) for one in values)} |\n")


def main() -> None:
    """Print two tables for every model: of all pictures, and of those that are flagged."""
    told = build_provenance()
    write(HEAD)
    for name in MODELS_ASKED:
        model = load_zoo(name)
        calibration = load_calibration(MODELS / name / "calibration.json")
        detector = calibration.detector
        pictures, regions, groups = build_pictures(model)
        images, ids = as_unit(pictures), content_ids(pictures)
        maps = {
            "heat map": measure_heat(model.denoiser, images, detector, ids).maps.float(),
            "slope at the pixels": measure_slopes(model.denoiser, images, detector, ids),
            "centred blob": draw_blob(len(images), (regions.shape[1], regions.shape[2])),
        }
        write_table(f"`zoo:{name}`", maps, regions, groups)
        scores = detector.score(model.denoiser, images, ids).values
        flagged = scores >= calibration.threshold
        if len(set(groups[flagged.numpy()])) > 1:
            chosen = {title: drawn[flagged] for title, drawn in maps.items()}
            write_table("Flagged ones", chosen, regions[flagged], groups[flagged.numpy()])
    write(f"\n{told['processor']}, {told['time'][:10]}.\n")


if __name__ == "__main__":
    main()
