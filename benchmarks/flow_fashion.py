"""Detection on a rectified flow: a small MM-DiT with planted copies, trained and swept here.

    .venv/bin/python benchmarks/flow_fashion.py [--out runs/flow-fashion] [--steps N]

A transformer of Stable Diffusion 3's kind, with joint attention of the picture and a "text" that
is the class, learns the velocity of a flow on Fashion-MNIST, with images repeated as in the zoo.
Levels are log-normal, which are logit-normal times: the schedule that Stable Diffusion 3 was
trained with. Then site, level and statistic are chosen on copies of half of the planted images
and reported on copies of the other half. Training takes minutes on one core; a run folder with a
page is left behind.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from equipoise.bench.sweep import run_sweep
from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.level import FlowTimes
from equipoise.runs import Run
from equipoise.zoo.package import ZooModel, load_pictures
from equipoise.zoo.planting import build_training_set, draw_planted
from equipoise.zoo.recipe import DitRecipe
from equipoise.zoo.training import start_training, train

RECIPE = DitRecipe(
    name="flow-fashion",
    seed=20263,
    num_images=600,
    per_cell=4,
    multiplicities=(30, 60),
    planting_seed=11,
    width=64,
    head_width=16,
    depth=4,
    steps=2500,
    learning_rate=3e-3,
    log_sigma_mean=-0.4,
)


def build_flow(recipe: DitRecipe, data_std: float) -> TimedDenoiser:
    """Build the untrained flow, seeded by its recipe; the class stands where a text would."""
    from diffusers import SD3Transformer2DModel

    told = recipe.num_classes + 1  # the null class comes behind the others

    def call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
        assert cond is not None
        text = one_hot(cond, told).to(z)
        return network(
            z, encoder_hidden_states=text[:, None], pooled_projections=text, timestep=time
        ).sample

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        transformer = SD3Transformer2DModel(
            sample_size=recipe.image_size, patch_size=recipe.patch, in_channels=1, out_channels=1,
            num_layers=recipe.depth, attention_head_dim=recipe.head_width,
            num_attention_heads=recipe.width // recipe.head_width, joint_attention_dim=told,
            caption_projection_dim=recipe.width, pooled_projection_dim=told,
            pos_embed_max_size=recipe.image_size // recipe.patch, qk_norm="rms_norm",
        )  # fmt: skip
    shape = (1, recipe.image_size, recipe.image_size)
    return TimedDenoiser(
        network=transformer, call=call, prediction="flow", grid=FlowTimes(), codec=PixelCodec(),
        empty=torch.tensor([recipe.num_classes]), sample_shape=shape, image_shape=shape,
        data_std=data_std, default_sites=list_late_sites(recipe.depth),
    )  # fmt: skip


def build_model(recipe: DitRecipe) -> ZooModel:
    """Put the untrained flow beside the truth about its training."""
    pictures = load_pictures()
    planted = draw_planted(
        recipe.num_images, per_cell=recipe.per_cell, multiplicities=recipe.multiplicities,
        seed=recipe.planting_seed,
    )  # fmt: skip
    kept = slice(recipe.num_images)
    shown = build_training_set(pictures.originals[kept], pictures.classes[kept], planted)
    data_std = float((shown.images[shown.rows] / 127.5 - 1).std())
    return ZooModel(build_flow(recipe, data_std), recipe, {}, shown, pictures.held_out)


def train_model(model: ZooModel, recipe: DitRecipe) -> Iterator[tuple[int, float, ZooModel]]:
    """Train, and yield step, loss and the model with the averaged weights."""
    state = start_training(model.denoiser, recipe)
    for now in train(state, model.build_lesson(), recipe):
        yield now.step, now.loss, replace(model, denoiser=now.average)


def measure(recipe: DitRecipe, out: Path, *, num_samples: int) -> Run:
    """Train by a recipe and sweep the result."""
    started, model = time.time(), build_model(recipe)
    for step, loss, trained in train_model(model, recipe):
        model = trained
        if step % 100 == 0:
            sys.stderr.write(f"{step:5d}  {loss:.3f}  {time.time() - started:.0f} s\n")
    return run_sweep(model, out, seed=0, num_samples=num_samples)


def main() -> None:
    """Train, sweep, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/flow-fashion"))
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--num-samples", type=int, default=1500)
    words = parser.parse_args()
    torch.set_num_threads(1)
    recipe = RECIPE.model_copy(update={"steps": words.steps})
    run = measure(recipe, words.out, num_samples=words.num_samples)
    results = run.record.results
    shown = {name: results[name] for name in ("chosen", "selection_auroc", "auroc")}
    print(json.dumps(shown | {"cells": results["cells"][:8], "seconds": run.record.cost}))


if __name__ == "__main__":
    main()
