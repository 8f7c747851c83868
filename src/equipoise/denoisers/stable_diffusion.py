r"""Stable Diffusion 1.x and 2.x: a text-conditional U-Net on the latents of a VAE.

The empty condition is the encoded empty prompt, encoded once when the denoiser is built. Default
sites are where the paper looks: what enters the second convolution of the residual blocks of the
lowest level going up, and of the first block of the level above. Versions 2.x differ in their
text encoder and, at 768 px, predict v; both are said in their folder.

References:
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022)
    | arXiv 2112.10752
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import get_prediction, read_grid
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.placement import find_device
from equipoise.denoisers.timed import TimedDenoiser

MARK = "model.diffusion_model.input_blocks.0.0.weight"
"""A tensor that every single file of Stable Diffusion has."""
DEFAULT_SITES = ("up_blocks.0.resnets.*.conv2:in", "up_blocks.1.resnets.0.conv2:in")


def build_stable_diffusion(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `StableDiffusionPipeline`; nothing of it is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.

    Raises:
        BadInputError: when its schedule is not understood, or the size is no multiple of a latent.
    """
    unet, vae = pipeline.unet, pipeline.vae
    shapes = fit_shapes(
        vae, channels=unet.config.in_channels, default=unet.config.sample_size, size=size
    )
    return TimedDenoiser(
        network=unet,
        call=_call,
        prediction=get_prediction(pipeline.scheduler),
        grid=read_grid(pipeline.scheduler),
        codec=VaeCodec(vae),
        empty=encode_prompts(pipeline, [""]),
        sample_shape=shapes.sample,
        image_shape=shapes.image,
        data_std=1.0,  # the scaling factor was chosen for it
        default_sites=DEFAULT_SITES,
        text_encoder=partial(encode_prompts, pipeline),
        guidance=7.5,
    )


@torch.no_grad()
def encode_prompts(pipeline: Any, prompts: Sequence[str]) -> Tensor:  # noqa: ANN401
    """Encode prompts as the pipeline does: (prompt, token, unit)."""
    tokens = pipeline.tokenizer(
        list(prompts), padding="max_length", truncation=True, return_tensors="pt",
        max_length=pipeline.tokenizer.model_max_length,
    )  # fmt: skip
    encoder = pipeline.text_encoder
    device = find_device(encoder)
    # An encoder whose configuration says so hides what fills up a prompt, as the pipeline does.
    masked = getattr(encoder.config, "use_attention_mask", False)
    mask = tokens.attention_mask.to(device) if masked else None
    return encoder(tokens.input_ids.to(device), attention_mask=mask)[0]


def _call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    return network(z, time, encoder_hidden_states=cond).sample
