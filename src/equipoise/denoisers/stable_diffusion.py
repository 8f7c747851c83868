r"""Stable Diffusion 1.x: a text-conditional U-Net on the latents of a VAE.

The empty condition is the encoded empty prompt, encoded once when the denoiser is built. Default
sites are where the paper looks: what enters the second convolution of the residual blocks of the
lowest level going up, and of the first block of the level above.

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
from equipoise.denoisers.dit import get_prediction
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.timed import TimedDenoiser

MARK = "model.diffusion_model.input_blocks.0.0.weight"
"""A tensor that every single file of Stable Diffusion has."""
DEFAULT_SITES = ("up_blocks.0.resnets.*.conv2:in", "up_blocks.1.resnets.0.conv2:in")


def build_stable_diffusion(pipeline: Any) -> TimedDenoiser:  # noqa: ANN401 - diffusers is optional
    """Make a denoiser of a `StableDiffusionPipeline`; nothing of it is changed."""
    unet, vae = pipeline.unet, pipeline.vae
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    side = unet.config.sample_size
    return TimedDenoiser(
        network=unet,
        call=_call,
        prediction=get_prediction(pipeline.scheduler),
        grid=NoiseGrid.from_alphas(pipeline.scheduler.alphas_cumprod),
        codec=VaeCodec(vae),
        empty=encode_prompts(pipeline, [""]),
        sample_shape=(unet.config.in_channels, side, side),
        image_shape=(vae.config.in_channels, side * scale, side * scale),
        data_std=1.0,  # the scaling factor was chosen for it
        default_sites=DEFAULT_SITES,
        text_encoder=partial(encode_prompts, pipeline),
    )


@torch.no_grad()
def encode_prompts(pipeline: Any, prompts: Sequence[str]) -> Tensor:  # noqa: ANN401
    """Encode prompts as the pipeline does: (prompt, token, unit)."""
    tokens = pipeline.tokenizer(
        list(prompts), padding="max_length", truncation=True, return_tensors="pt",
        max_length=pipeline.tokenizer.model_max_length,
    )  # fmt: skip
    device = next(pipeline.text_encoder.parameters()).device
    return pipeline.text_encoder(tokens.input_ids.to(device))[0]


def _call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    return network(z, time, encoder_hidden_states=cond).sample
