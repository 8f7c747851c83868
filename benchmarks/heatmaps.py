"""Measure whether heat maps point at the memorized part of a picture.

    .venv/bin/python benchmarks/heatmaps.py > docs/figures-heatmaps.md

Of the Fashion models every picture is half a planted training image, half an image that no model
saw, cut through the middle; each planted image comes with each of its four halves. Of the
text-to-image model a template recurs (texture, second shape, pose) under many captions: the
pictures are templates with emoji that were never shown in them, rendered, and what the model makes
when it is asked for them, where that copies the template. Nothing is chosen: the detector is the
one that the model ships. Intervals are over planted images.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from equipoise.bench.pointing import draw_blob, measure_slopes, overlap, point, share
from equipoise.denoisers import guide
from equipoise.detection import Calibration, load_calibration, measure_heat
from equipoise.images import as_unit, content_ids, quantize
from equipoise.runs import build_provenance
from equipoise.sampling import sample_items
from equipoise.zoo.caption import write_caption
from equipoise.zoo.package import MODELS, ZooModel, load_zoo
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import Scene, change_motif, draw_scene
from equipoise.zoo.scene_copy import cover_emoji
from equipoise.zoo.scene_set import SceneSet, split_attributes

MODELS_ASKED = ("edm-fashion", "edm-fashion-b", "dit-fashion", "sd-emoji")
MEASURES = {"warmest pixel in it": point, "overlap": overlap, "share of the warmth": share}
HALVES = 4
OTHERS = 4  # emoji a template is shown with
REPEATS = 2  # outputs of each
SEED = 7
RENDERED, CONTROL = "templates with another emoji", "the same captions in scenes of their own"
HEAT = "heat map"
HEAD = """# Where heat maps point

`python benchmarks/heatmaps.py`. Of the Fashion models every picture is half a planted training image, half an image
that no model saw, cut through the middle; each planted image comes with each of its four halves. Of `zoo:sd-emoji`
a picture is a template with an emoji that it was never shown with, the planted part is what lies around the emoji:
first rendered pictures; then, as a control in which nothing is planted, scenes of the same captions drawn anew; then
outputs of the model, asked for the same captions, that copy the template by distance.
The detector is the one that the model ships, and nothing is chosen here. *Warmest pixel in it*: the pointing game on
the planted part. *Overlap*: intersection over union of the planted part with as many warmest pixels. *Share of the
warmth*: what raises the score. Means over planted images with Student's 95 % intervals;
*chance* is a map at random. The slope of the score at the pixels (of a
latent model at its latents) goes through the whole network.
*Flagged ones*: those that the shipped calibration calls memorized.
"""
write = sys.stdout.write


class Pictures(NamedTuple):
    """Pictures, where the planted part of each is, and which planted image it is of."""

    images: Tensor
    regions: Tensor
    groups: np.ndarray


def build_pictures(model: ZooModel) -> dict[str, Pictures]:
    """Build what maps are drawn of, under its name; a control has nothing planted."""
    known = model.training_set
    if not isinstance(known, SceneSet):
        return {"halves": join_halves(model)}
    templates = list_templates(known, model.recipe.data_seed)
    return {
        RENDERED: render(templates),
        CONTROL: render([(index, redraw(scene)) for index, scene in templates]),
        "outputs that copy a template": sample_templates(model, templates),
    }


def redraw(scene: Scene) -> Scene:
    """Draw a scene of the same caption, of which no model saw anything."""
    return draw_scene(scene.attributes, seed=SEED, name="control")


def join_halves(model: ZooModel) -> Pictures:
    """Join halves of planted images with halves that no model saw."""
    side = model.held_out.shape[-1]
    halves = torch.zeros(HALVES, side, side, dtype=torch.bool)
    halves[0, :, : side // 2] = halves[1, : side // 2] = True
    halves[2:] = ~halves[:2]
    planted = sorted(model.planted)
    regions = halves.repeat(len(planted), 1, 1)
    own = model.training_set.images[planted].repeat_interleave(HALVES, dim=0)
    pictures = torch.where(regions[:, None], own, model.held_out[: len(own)])
    return Pictures(pictures, regions, np.repeat(planted, HALVES))


def list_templates(known: SceneSet, seed: int) -> list[tuple[int, Scene]]:
    """List every template with emoji that no training scene has at its colour, size and cell."""
    shown = {scene.attributes for scene in known.scenes}
    free = [one for half in split_attributes(seed) for one in half if one not in shown]
    found = []
    for item in known.planted:
        if item.kind != "template":
            continue
        scene = known.scenes[item.index]
        one = scene.attributes
        like = [f for f in free if (f.colour, f.size, f.cell) == (one.colour, one.size, one.cell)]
        found += [(item.index, change_motif(scene, f.noun, f.vendor)) for f in like[:OTHERS]]
    return found


def render(templates: Sequence[tuple[int, Scene]]) -> Pictures:
    """Render scenes; what lies around the emoji is the part in question."""
    scenes = [scene for _, scene in templates]
    regions = torch.stack([~cover_emoji(scene) for scene in scenes])
    return Pictures(render_scenes(scenes), regions, np.array([index for index, _ in templates]))


def sample_templates(model: ZooModel, templates: Sequence[tuple[int, Scene]]) -> Pictures:
    """Ask the model for the same captions, and keep what copies the template."""
    wanted = [pair for pair in templates for _ in range(REPEATS)]
    sampler = model.recipe.sampler
    batches = sample_items(
        guide(model.denoiser, sampler.guidance), [f"template/{k}" for k in range(len(wanted))],
        sampler.list_sigmas(model.denoiser), seed=SEED, batch=sampler.batch,
        conditions=model.encode_prompts([write_caption(scene.attributes) for _, scene in wanted]),
    )  # fmt: skip
    pictures = torch.cat([quantize(model.denoiser.decode(x0)) for x0 in batches])
    labels = model.label(pictures)
    told = zip(labels.names(), labels.nearest.tolist(), strict=True)
    found = [
        name == "copy" and near == pair[0] for (name, near), pair in zip(told, wanted, strict=True)
    ]
    copies = [k for k, is_copy in enumerate(found) if is_copy]
    write(f"\n{len(copies)} of {len(pictures)} outputs copy the template they were asked for.\n")
    regions = torch.stack([~cover_emoji(scene) for _, scene in wanted])
    return Pictures(pictures[copies], regions[copies], np.array([wanted[k][0] for k in copies]))


def mean_by_group(values: Tensor, groups: np.ndarray) -> np.ndarray:
    """Average over the pictures of each planted image."""
    return np.array([values.numpy()[groups == group].mean() for group in np.unique(groups)])


def estimate(means: np.ndarray, *, sign: str = "", bounds: tuple[float, float] = (0, 1)) -> str:
    """Write the mean over planted images with Student's interval."""
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5
    low, high = np.clip([means.mean() - half, means.mean() + half], *bounds)
    return f"{means.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def guess(regions: Tensor) -> list[Tensor]:
    """Say what a map at random would reach, by measure."""
    inside = regions.flatten(1).double().mean(dim=1)
    return [inside, inside / (2 - inside), inside]


def measure_all(drawn: Tensor, shown: Pictures) -> list[np.ndarray]:
    """Take every measure of some maps, a mean a planted image."""
    values = [measure(drawn, shown.regions).double() for measure in MEASURES.values()]
    return [mean_by_group(one, shown.groups) for one in values]


def write_table(title: str, maps: dict[str, Tensor], shown: Pictures) -> None:
    """Write the measures of every kind of map on some pictures."""
    write(
        f"\n{title}, {len(shown.images)} pictures of {len(set(shown.groups))} planted images:\n\n"
    )
    write(f"| | {' | '.join(MEASURES)} |\n|---|{'---|' * len(MEASURES)}\n")
    rows = {name: measure_all(drawn, shown) for name, drawn in maps.items()}
    rows["chance"] = [mean_by_group(one, shown.groups) for one in guess(shown.regions)]
    for name, means in rows.items():
        write(f"| {name} | {' | '.join(estimate(one) for one in means)} |\n")


def write_maps(title: str, model: ZooModel, calibration: Calibration, shown: Pictures) -> Tensor:
    """Write the table of all pictures, and that of those that are flagged; return the heat."""
    detector = calibration.detector
    images, ids = as_unit(shown.images), content_ids(shown.images)
    maps = {
        HEAT: measure_heat(model.denoiser, images, detector, ids).maps.float(),
        "slope at the pixels": measure_slopes(model.denoiser, images, detector, ids),
        "centred blob": draw_blob(len(images), shown.regions.shape[1:]),
    }
    write_table(title, maps, shown)
    scores = detector.score(model.denoiser, images, ids).values
    flagged = scores >= calibration.threshold
    if len(set(shown.groups[flagged.numpy()])) > 1:
        chosen = Pictures(
            shown.images[flagged], shown.regions[flagged], shown.groups[flagged.numpy()]
        )
        write_table("Flagged ones", {name: drawn[flagged] for name, drawn in maps.items()}, chosen)
    return maps[HEAT]


def write_difference(pictures: dict[str, Pictures], heat: dict[str, Tensor]) -> None:
    """Write what the heat of templates has more in the planted part than that of the control."""
    write(f"\n{RENDERED} minus the control, paired by template:\n\n")
    one, other = (measure_all(heat[name], pictures[name]) for name in (RENDERED, CONTROL))
    for name, here, there in zip(MEASURES, one, other, strict=True):
        write(f"- {name}: {estimate(here - there, sign='+', bounds=(-1, 1))}\n")


def main() -> None:
    """Print two tables for every model: of all pictures, and of those that are flagged."""
    told = build_provenance()
    write(HEAD)
    for name in sys.argv[1:] or MODELS_ASKED:
        model = load_zoo(name)
        calibration = load_calibration(MODELS / name / "calibration.json")
        pictures = build_pictures(model)
        heat = {
            title: write_maps(f"`zoo:{name}`, {title}", model, calibration, shown)
            for title, shown in pictures.items() if len(set(shown.groups)) > 1
        }  # fmt: skip
        if CONTROL in heat:
            write_difference(pictures, heat)
    write(f"\n{told['processor']}, {told['time'][:10]}.\n")


if __name__ == "__main__":
    main()
