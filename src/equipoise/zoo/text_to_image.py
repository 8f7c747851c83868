"""The pipeline of a text-to-image model of the zoo, in Stable Diffusion's format.

Everything is diffusers' and transformers' own: a `StableDiffusionPipeline` that they open without
us. It is small: captions have 69 words, pictures 64 px, latents 16 x 16. The text encoder keeps
its random weights, as Stable Diffusion's keeps CLIP's: it tells words and their places apart.

The noise schedule is SD 1.x's scaled-linear one with a larger last beta: it ends at sigma = 66
instead of 14, so that the starting noise does not carry the background colour, which a picture of
one colour would leave in it. The network predicts v, which stays well scaled there.

References:
    Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al., 2023): the leak
    | arXiv 2305.08891
"""

from typing import Any

import torch

from equipoise.errors import BadInputError
from equipoise.zoo.caption import list_words
from equipoise.zoo.recipe import SdRecipe
from equipoise.zoo.word_tokenizer import build_word_tokenizer

MAX_TOKENS = 16
LATENT_SIDE = 16
BETA_START, BETA_END = 0.00085, 0.02
NORM_GROUPS = 16


def build_pipeline(recipe: SdRecipe, vae: Any) -> Any:  # noqa: ANN401 - diffusers is optional
    """Build the untrained pipeline of a recipe around an autoencoder, seeded by the recipe.

    Raises:
        BadInputError: when diffusers or transformers is missing.
    """
    try:
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
            StableDiffusionPipeline,
        )
    except ImportError as error:
        raise BadInputError(
            f'"{recipe.name}" needs diffusers: pip install "equipoise[diffusers]".'
        ) from error
    tokenizer = build_word_tokenizer(list_words(), max_length=MAX_TOKENS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        text_encoder = _build_text_encoder(recipe, tokenizer)
        unet = _build_unet(recipe)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=_build_scheduler(),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


def _build_text_encoder(recipe: SdRecipe, tokenizer: Any) -> Any:  # noqa: ANN401
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.text_width,
        intermediate_size=2 * recipe.text_width,
        projection_dim=recipe.text_width,
        num_hidden_layers=1,
        num_attention_heads=recipe.heads,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config).eval().requires_grad_(False)


def _build_unet(recipe: SdRecipe) -> Any:  # noqa: ANN401
    from diffusers.models.attention_processor import AttnProcessor
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    levels = len(recipe.channels)
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=recipe.decoder.num_latents,
        out_channels=recipe.decoder.num_latents,
        layers_per_block=1,
        block_out_channels=recipe.channels,
        norm_num_groups=NORM_GROUPS,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        cross_attention_dim=recipe.text_width,
        attention_head_dim=recipe.heads,  # diffusers' name for their number
    )
    # Its backward is faster than that of the fused attention at these sizes.
    unet.set_attn_processor(AttnProcessor())
    return unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _build_scheduler() -> Any:  # noqa: ANN401
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=BETA_START,
        beta_end=BETA_END,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
