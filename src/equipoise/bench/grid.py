"""Samples that stock diffusers makes from the folder of a text-to-image model of the zoo.

Captions that no training scene has, diffusers' own pipeline call with the scheduler of the folder:
whoever has the folder makes the same pictures without us.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from equipoise.denoisers.pipeline import load_pipeline
from equipoise.zoo.package import ZooModel

GRID = "grid.png"
SIDE, STEPS = 4, 20


def write_grid(model: ZooModel, folder: Path) -> dict[str, Any]:
    """Draw a grid of samples into the folder of a text-to-image model.

    Args:
        model: The model; its first held-out captions are asked for.
        folder: Its package.

    Returns:
        What makes the grid again: `file`, `prompts` (row by row), `seeds` (of the generator of
        each sample), `steps` and `guidance`, as the card says them.
    """
    count = SIDE * SIDE
    prompts = model.list_prompts(torch.arange(count), held_out=True)
    assert prompts is not None, "only a model that reads words has a grid of samples"
    record = {
        "file": GRID, "prompts": prompts, "seeds": list(range(count)), "steps": STEPS,
        "guidance": model.recipe.sampler.guidance,
    }  # fmt: skip
    draw_grid(folder, record).save(folder / GRID)
    return record


def draw_grid(folder: Path, record: dict[str, Any]) -> Image.Image:
    """Draw the samples of a record with the pipeline in a folder."""
    pipeline = load_pipeline(folder)
    pipeline.set_progress_bar_config(disable=True)
    samples = pipeline(
        record["prompts"],
        num_inference_steps=record["steps"],
        guidance_scale=record["guidance"],
        generator=[torch.Generator().manual_seed(seed) for seed in record["seeds"]],
    ).images
    width, height = samples[0].size
    sheet = Image.new("RGB", (SIDE * width, SIDE * height))
    for index, sample in enumerate(samples):
        row, column = divmod(index, SIDE)
        sheet.paste(sample, (column * width, row * height))
    return sheet


def measure_psnr(image: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio of two pictures of one size, dB; infinite for equal ones."""
    error = np.square(np.asarray(image, dtype=float) - np.asarray(other, dtype=float)).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
