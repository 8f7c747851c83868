"""The untrained text-to-image model of a recipe: scenes, autoencoder, pipeline folder.

The decoder is trained first and once, by the model; its twin takes it over. A killed training goes
on from the last state that was written, to the weights of an unbroken one.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save
from torch import Tensor, nn
from tqdm.auto import tqdm

from equipoise.denoisers import build_stable_diffusion
from equipoise.denoisers.pipeline import load_vae
from equipoise.runs.atomic import write_atomic
from equipoise.zoo.decoder_training import (
    DecoderState,
    dump_decoder,
    restore_decoder,
    start_decoder,
    train_decoder,
)
from equipoise.zoo.package import ZooModel, draw_scenes
from equipoise.zoo.recipe import CLEAN_SUFFIX, DecoderRecipe, SdRecipe
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.text_to_image import build_pipeline

SAVE_EVERY = 100


def prepare_text_to_image(recipe: SdRecipe, folder: Path) -> ZooModel:
    """Return the untrained model of a recipe; write its pipeline, unless it is a twin's.

    Args:
        recipe: The recipe, of a model or of its twin.
        folder: Where the packages lie.
    """
    own = folder / recipe.name.removesuffix(CLEAN_SUFFIX)
    scenes = draw_scenes(recipe)
    vae = make_autoencoder(recipe.decoder, scenes.images[: recipe.num_images], own)
    pipeline = build_pipeline(recipe, vae)
    if not recipe.is_twin:
        _save_pipeline(pipeline, own, dtype=getattr(torch, recipe.stored))
    denoiser = build_stable_diffusion(pipeline)
    return ZooModel(denoiser, recipe, {}, scenes, render_scenes(scenes.held_out))


def make_autoencoder(
    recipe: DecoderRecipe, pictures: UInt8[Tensor, "case 3 height width"], folder: Path
) -> Any:  # noqa: ANN401 - diffusers is optional
    """Open the autoencoder of a package, or train it where there is none yet."""
    if not (folder / "vae").is_dir():
        path, state = folder / "decoder-state.safetensors", start_decoder(pictures, recipe)
        if path.is_file():
            state = restore_decoder(state, load_file(path))
        vae = _train(state, pictures, recipe, path)
        # What is on disk is of less precision than what was trained, and it is what counts.
        vae.half().save_pretrained(folder / "vae")
        path.unlink(missing_ok=True)
    vae = load_vae(folder / "vae").float().requires_grad_(False)
    vae.register_to_config(_name_or_path="")  # a package says nothing of where it was made
    return vae


def _train(start: DecoderState, pictures: Tensor, recipe: DecoderRecipe, path: Path) -> Any:  # noqa: ANN401
    with tqdm(total=recipe.steps, initial=start.step, desc="decoder", unit="step") as progress:
        for state in train_decoder(start, pictures, recipe):
            if state.step % SAVE_EVERY == 0:
                write_atomic(path, save(dump_decoder(state)))
                progress.set_postfix(loss=round(state.loss, 5))
            progress.update()
    return start.vae


def _save_pipeline(pipeline: Any, folder: Path, *, dtype: torch.dtype) -> None:  # noqa: ANN401
    """Write a copy in the precision of what is shipped; the U-Net's weights are not trained.

    The text encoder stays as it is: transformers opens a file in its own precision, diffusers in
    float32, and a pipeline of both does not run.
    """
    networks = {k: v for k, v in pipeline.components.items() if isinstance(v, nn.Module)}
    kept = {k: deepcopy(v).to(dtype) for k, v in networks.items() if k != "text_encoder"}
    whole = type(pipeline)(**pipeline.components | kept, requires_safety_checker=False)
    whole.save_pretrained(folder)
