"""The grid of the text-to-image model, made again by diffusers alone."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.bench.grid import SIDE, measure_psnr
from equipoise.zoo.package import MODELS

FOLDER = MODELS / "sd-emoji"


@pytest.mark.slow
def test_stock_diffusers_reproduces_the_samples_on_the_card():
    diffusers = pytest.importorskip("diffusers")
    record = json.loads((FOLDER / "card.json").read_text())["grid"]
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(FOLDER)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        record["prompts"], num_inference_steps=record["steps"], guidance_scale=record["guidance"],
        generator=[torch.Generator().manual_seed(seed) for seed in record["seeds"]],
        output_type="np",
    ).images  # fmt: skip
    with Image.open(FOLDER / record["file"]) as sheet:
        shipped = np.asarray(sheet.convert("RGB"), dtype=float) / 255
    rows = shipped.reshape(SIDE, 64, SIDE, 64, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 64, 64, 3)
    # Half a grey value is lost in the file; the rest is another processor's rounding.
    assert np.abs(drawn - rows).mean() < 1 / 255


def test_the_ratio_is_that_of_a_known_error():
    black, grey = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (16, 16, 16))
    assert measure_psnr(black, grey) == pytest.approx(20 * np.log10(255 / 16))
    assert measure_psnr(grey, grey) == np.inf
