"""The untrained denoiser of a recipe, and its weights on disk."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from equipoise.denoisers import (
    EdmDenoiser,
    TimedDenoiser,
    UNet,
    build_dit,
    build_stable_diffusion,
    check_finite_weights,
    load_pipeline,
)
from equipoise.errors import BadInputError
from equipoise.runs.atomic import write_atomic
from equipoise.zoo.recipe import DitRecipe, EdmRecipe, Recipe

ZooDenoiser = EdmDenoiser | TimedDenoiser


def build_denoiser(recipe: Recipe, data_std: float) -> ZooDenoiser:
    """Build the untrained denoiser of a recipe of the Fashion models, seeded by it.

    Raises:
        BadInputError: when the family needs a package that is missing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if isinstance(recipe, DitRecipe):
            return _build_dit(recipe, data_std)
        assert isinstance(recipe, EdmRecipe)
        return _build_edm(recipe, data_std)


def load_weights(denoiser: ZooDenoiser, path: Path) -> None:
    """Fill a freshly built denoiser from a file, strictly; half precision becomes single.

    Raises:
        BadInputError: when the weights are of another network.
        NonFiniteError: when they hold NaN or infinity.
    """
    try:
        denoiser.network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise BadInputError(
            f'"{path}" does not hold the weights of this recipe: {error}'
        ) from error
    denoiser.network.requires_grad_(False).eval()
    check_finite_weights(denoiser.network)


def save_weights(denoiser: ZooDenoiser, path: Path, *, stored: str) -> None:
    """Write the weights of a denoiser as safetensors, in the precision of that name."""
    state, dtype = denoiser.network.state_dict(), getattr(torch, stored)
    kept = {name: weights.detach().to(dtype).contiguous() for name, weights in state.items()}
    write_atomic(path, save(kept))


def open_text_to_image(folder: Path) -> TimedDenoiser:
    """Open the pipeline of a text-to-image model, in float32."""
    model = build_stable_diffusion(load_pipeline(folder)).to("cpu", torch.float32)
    model.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return model


def locate_weights(recipe: Recipe, folder: Path) -> Path:
    """Say where the weights lie in the folder of a model: where diffusers has them, if it does."""
    if isinstance(recipe, EdmRecipe):
        return folder / "model.safetensors"
    part = "transformer" if isinstance(recipe, DitRecipe) else "unet"
    return folder / part / "diffusion_pytorch_model.safetensors"


def write_configs(recipe: Recipe, denoiser: ZooDenoiser, folder: Path) -> None:
    """Write what diffusers needs to open the folder of a DiT: its configuration and schedule."""
    network: Any = denoiser.network
    if isinstance(recipe, DitRecipe):
        network.save_config(folder / "transformer")
        _build_scheduler().save_config(folder / "scheduler")


def _build_edm(recipe: EdmRecipe, data_std: float) -> EdmDenoiser:
    network = UNet(1, patch=recipe.patch, channels=recipe.channels, depth=recipe.depth)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return EdmDenoiser(
        network,
        sample_shape=(1, recipe.image_size, recipe.image_size),
        data_std=data_std,
        default_sites=("up_blocks.0.resnets.*.conv2:in", "up_blocks.1.resnets.0.conv2:in"),
    )


def _build_dit(recipe: DitRecipe, data_std: float) -> TimedDenoiser:
    try:
        from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
    except ImportError as error:
        raise BadInputError(
            f'"{recipe.name}" needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    transformer: nn.Module = DiTTransformer2DModel(
        num_attention_heads=recipe.width // recipe.head_width,
        attention_head_dim=recipe.head_width,
        in_channels=1,
        out_channels=1,
        num_layers=recipe.depth,
        patch_size=recipe.patch,
        sample_size=recipe.image_size,
        num_embeds_ada_norm=recipe.num_classes,
    )
    # In train mode it would drop labels by itself, and from the global random state.
    return build_dit(transformer.eval(), _build_scheduler(), data_std=data_std)


def _build_scheduler() -> Any:  # noqa: ANN401 - diffusers is optional
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(beta_schedule="linear", prediction_type="v_prediction")
