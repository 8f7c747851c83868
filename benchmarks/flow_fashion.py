"""Detection on a rectified flow: a small MM-DiT with planted copies, swept here.

    .venv/bin/python benchmarks/flow_fashion.py > docs/figures-flow.md
    .venv/bin/python benchmarks/flow_fashion.py --train planted    make the weights; then: twin

A transformer of Stable Diffusion 3's kind, with joint attention of the picture and a "text" that
is the class, learns the velocity of a flow on Fashion-MNIST, with images repeated as in the zoo;
its clean twin sees every image once. Levels are log-normal, which are logit-normal times: the
schedule that Stable Diffusion 3 was trained with. Then site, level and statistic are chosen on
copies of half of the planted images and reported on copies of the other half. Training takes
minutes on one core; the weights lie in `benchmarks/flow`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from machine import describe_machine
from torch import Tensor, nn
from torch.nn.functional import one_hot

from equipoise.bench.markdown import show_rate
from equipoise.bench.sweep import run_sweep
from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.level import FlowTimes
from equipoise.runs import Run
from equipoise.zoo.network import load_weights, save_weights
from equipoise.zoo.package import ZooModel, load_pictures
from equipoise.zoo.planting import build_training_set, draw_planted
from equipoise.zoo.recipe import DitRecipe
from equipoise.zoo.training import start_training, train

RECIPE = DitRecipe(
    name="flow-fashion",
    seed=20263,
    num_images=600,
    per_cell=10,
    multiplicities=(30, 60),
    planting_seed=11,
    width=64,
    head_width=16,
    depth=4,
    steps=5000,
    learning_rate=3e-3,
    log_sigma_mean=-0.4,
)
TWIN = RECIPE.model_copy(update={"name": "flow-fashion-clean", "seed": 20264, "per_cell": 0})
WEIGHTS = Path(__file__).parent / "flow"


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


def make_weights(recipe: DitRecipe) -> None:
    """Train by a recipe and keep the averaged weights, in half precision."""
    started, model = time.time(), build_model(recipe)
    for step, loss, trained in train_model(model, recipe):
        model = trained
        if step % 100 == 0:
            sys.stderr.write(f"{step:5d}  {loss:.3f}  {time.time() - started:.0f} s\n")
    save_weights(model.denoiser, locate(recipe), stored=recipe.stored)


def open_model(recipe: DitRecipe) -> ZooModel:
    """Open a model that was trained here."""
    model = build_model(recipe)
    load_weights(model.denoiser, locate(recipe))
    return model


def locate(recipe: DitRecipe) -> Path:
    """Say where the weights of a recipe lie."""
    return WEIGHTS / f"{recipe.name}.safetensors"


def describe(runs: Sequence[Run]) -> str:
    """Write the page of several sweeps of the same weights."""
    first = runs[0].record
    chosen, planted = first.results["chosen"], build_model(RECIPE).training_set.planted
    scaled = ", each unit scaled by its spread over new outputs"
    head = ["seed", "spikiness, as chosen", "the same, in the clean twin", "denoising residual",
            "planted pictures", "n", "where it was chosen", "statistic", "sigma"]  # fmt: skip
    return "\n".join(
        [
            "# A flow with known copies",
            "",
            "`python benchmarks/flow_fashion.py`: a small transformer of Stable Diffusion 3's "
            "kind (joint attention, the class in the place of the text), trained as a flow on "
            f"{RECIPE.num_images} Fashion pictures, of which {len(planted)} fill "
            f"{' or '.join(map(str, RECIPE.multiplicities))} rows, in {RECIPE.steps:,} steps of "
            f"{RECIPE.batch}. The twin saw every picture once. Weights and recipe are in the "
            f"repository; {first.spec['num_samples']:,} outputs a seed.",
            "",
            "Site, noise level, pooling, statistic, scale and sign were chosen on copies of half "
            "of the planted pictures, the noise level of the residual likewise; the table is of "
            "copies of the others and of other new outputs. AUROC with 95 % intervals, which "
            "allow for a planted picture that nobody saw.",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
            *(f"| {' | '.join(list_cells(run))} |" for run in runs),
            "",
            f"Chosen with seed {first.spec['seed']} among {len(first.results['cells'])} "
            f"combinations: the {chosen['statistic']} of the {chosen['pooling']} at "
            f"{', '.join(f'`{site}`' for site in chosen['sites'])}"
            f"{scaled * bool(chosen['scaled_units'])}. One training: nothing is said of others.",
            "",
            f"{describe_machine(first.provenance)}.",
        ]
    )


def list_cells(run: Run) -> list[str]:
    """Write the row of one sweep."""
    results = run.record.results
    area, chosen = results["auroc"], results["chosen"]
    return [
        str(run.record.spec["seed"]), show_rate(area), show_rate(results["clean_twin_auroc"]),
        show_rate(results["residual"]["auroc"]), str(area["groups"]), str(area["n"]),
        f"{results['selection_auroc']:.3f}", chosen["statistic"], f"{chosen['sigma']:.3g}",
    ]  # fmt: skip


def main() -> None:
    """Sweep and print the page, or train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", choices=["planted", "twin"], help="make these weights again")
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--num-samples", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    words = parser.parse_args()
    torch.set_num_threads(1)
    if words.train:
        recipe = RECIPE if words.train == "planted" else TWIN
        make_weights(recipe.model_copy(update={"steps": words.steps}))
        return
    count = words.num_samples
    with tempfile.TemporaryDirectory() as scratch:
        model, twin = open_model(RECIPE), open_model(TWIN).denoiser
        runs = [
            run_sweep(model, twin, Path(scratch) / str(seed), seed=seed, num_samples=count)
            for seed in words.seeds
        ]
        sys.stdout.write(describe(runs) + "\n")


if __name__ == "__main__":
    main()
