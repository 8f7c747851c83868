"""Show a zoo model: does it both copy and invent, and what did its training look like?

Fresh outputs are drawn from the weights and labelled by the training images. Real images are a
second look, the *control* (`control.py`). Where outputs are asked for something, a third look is
whether they show it (`obedience.py`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int

from equipoise.bench.control import Exhibit, measure_control
from equipoise.bench.interval import exact_rate
from equipoise.bench.obedience import measure_obedience
from equipoise.bench.outputs import LabelledOutputs, build_unjudged, generate_outputs
from equipoise.denoisers import fingerprint
from equipoise.detection import Stopwatch
from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors
from equipoise.zoo.package import ZooModel

NUM_SAMPLES = 1000
NUM_SHOWN = 96
NEAR = 0.5
"""A second, looser line for copies, counted beside the one that labels (1/3)."""


def run_show(exhibit: Exhibit, folder: Path, *, seed: int, num_samples: int = NUM_SAMPLES) -> Run:
    """Sample the model, count its copies, look at real images, and write the run folder."""
    watch, model = Stopwatch(), exhibit.model
    run = start_run(
        folder, kind="zoo",
        spec={
            "model": f"zoo:{model.recipe.name}",
            "seed": seed,
            "num_samples": num_samples,
            "recipe": model.recipe.model_dump(mode="json"),
        },
        provenance={"fingerprint": fingerprint(model.denoiser)},
    )  # fmt: skip
    outputs = generate_outputs(model, num_samples, seed=seed, stream="show")
    closest = find_closest(model, outputs)
    write_items(run, _build_items(outputs))
    write_tensors(run, "images", _collect_images(model, outputs, closest))
    results = count_outputs(model, outputs) | {
        "planted": _describe_planted(model, outputs, closest),
        "control": measure_control(exhibit, outputs, seed=seed),
        "obedience": measure_obedience(model, outputs, seed=seed),
        "training": _describe_training(exhibit),
        "card": {k: model.card[k] for k in ("family", "parameters", "data", "licence")},
    }
    cost = {"evaluations": outputs.evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


def count_outputs(model: ZooModel, outputs: LabelledOutputs) -> dict[str, Any]:
    """Count copies, grey and novel outputs, the images copied, and copies of images shown once."""
    labels, planted = outputs.labels, list(model.planted)
    is_copy, n = labels == "copy", len(labels)
    stray = is_copy & ~np.isin(outputs.nearest, planted)
    near = outputs.truth.ratio.numpy() < NEAR
    return {
        "labels": {name: int((labels == name).sum()) for name in ("copy", "grey", "novel")},
        "copies": exact_rate(int(is_copy.sum()), n),
        "copies_below_half": exact_rate(int(near.sum()), n),
        "images_copied": len(np.unique(outputs.nearest[is_copy & ~stray])),
        "copies_not_planted": exact_rate(int(stray.sum()), n),
    }


def find_closest(model: ZooModel, outputs: LabelledOutputs) -> Int[np.ndarray, " planted"]:
    """Find, for every planted image, the output nearest to it or to a variant of it."""
    training_set = model.training_set
    samples = outputs.pictures.flatten(1).double()
    rows = []
    for item in training_set.planted:
        shown = training_set.images[training_set.group == item.index]
        both = torch.cat([shown, shown.flip(-1)]).flatten(1).double()
        rows.append(int(torch.cdist(samples, both).amin(dim=1).argmin()))
    return np.array(rows, dtype=int)


def _describe_planted(
    model: ZooModel, outputs: LabelledOutputs, closest: Int[np.ndarray, " planted"]
) -> list[dict[str, Any]]:
    """Say of every planted image how often it was copied and how near the nearest output is."""
    copied = outputs.nearest[outputs.labels == "copy"]
    return [
        {
            "index": item.index,
            "kind": item.kind,
            "multiplicity": item.multiplicity,
            "count": int((copied == item.index).sum()),
            "label": str(outputs.labels[row]),
            "ratio": float(outputs.truth.ratio[row]),
        }
        for item, row in zip(model.training_set.planted, closest, strict=True)
    ]


def _describe_training(exhibit: Exhibit) -> dict[str, Any]:
    """Collect loss curves and looks of model and twin, and which saves are shipped."""
    model, twin = exhibit.model, exhibit.twin
    return {
        "steps": model.recipe.steps,
        "saves": model.card.get("saves", {}),
        "seconds": model.card["training"]["seconds"],
        "loss_curve": model.card["training"]["loss_curve"],
        "looks": model.card["training"].get("looks", []),
        "twin_loss_curve": twin.card["training"]["loss_curve"] if twin else [],
        "twin_looks": twin.card["training"].get("looks", []) if twin else [],
    }


def _collect_images(
    model: ZooModel, outputs: LabelledOutputs, closest: Int[np.ndarray, " planted"]
) -> dict[str, np.ndarray]:
    planted = torch.tensor([item.index for item in model.training_set.planted], dtype=torch.long)
    return {
        "samples": outputs.pictures[:NUM_SHOWN].numpy(),
        "planted": model.training_set.images[planted].numpy(),
        "closest": outputs.pictures[torch.from_numpy(closest)].numpy(),
    }


def _build_items(outputs: LabelledOutputs) -> pa.Table:
    """Build the rows: nothing is scored here, so scores and verdicts are null."""
    return pa.table(
        build_unjudged(outputs.ids, outputs.sources, None)
        | {
            "label": outputs.labels.tolist(),
            "ratio": outputs.truth.ratio.double().numpy(),
            "nearest": outputs.nearest,
        }
    )
