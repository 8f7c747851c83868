r"""Stable Diffusion XL: a U-Net that is told two texts, a pooled text, and the picture's size.

The empty condition is what the pipeline itself guides away from when no negative prompt is given:
zeros in the released models (`force_zeros_for_empty_prompt`), else the encoded empty prompt. The
size that the network is told is that of the pictures, uncropped. Default sites are those of
Stable Diffusion: the U-Net has the same blocks, one level fewer.

References:
    SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis (Podell et al.,
    2024), Sec. 2.2 | arXiv 2307.01952
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import get_prediction, read_grid
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.stable_diffusion import DEFAULT_SITES
from equipoise.denoisers.text_to_image import Parts, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser


def build_stable_diffusion_xl(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `StableDiffusionXLPipeline`; nothing of it is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.

    Raises:
        BadInputError: when its schedule is not understood, or the size is no multiple of a latent.
    """
    config = pipeline.unet.config
    shapes = fit_shapes(
        pipeline.vae, channels=config.in_channels, default=config.sample_size, size=size
    )
    height, width = shapes.image[1:]
    uncropped = torch.tensor([[height, width, 0, 0, height, width]])
    return build_text_to_image(
        pipeline.unet,
        encode=partial(_encode, pipeline, uncropped),
        tell=_tell,
        prediction=get_prediction(pipeline.scheduler),
        grid=read_grid(pipeline.scheduler),
        shapes=shapes,
        sites=DEFAULT_SITES,
        codec=VaeCodec(pipeline.vae),
        guidance=5.0,
        empty=_encode(pipeline, uncropped, [""], empty=True),
    )


@torch.no_grad()
def _encode(
    pipeline: Any,  # noqa: ANN401
    size: Tensor,
    prompts: Sequence[str],
    *,
    empty: bool = False,
) -> Parts:
    text, negative, pooled, pooled_negative = pipeline.encode_prompt(
        list(prompts), do_classifier_free_guidance=empty
    )
    return {
        "text": negative if empty else text,
        "pooled": pooled_negative if empty else pooled,
        "size": size.expand(len(prompts), -1).to(text.device),
    }


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    added = {"text_embeds": parts["pooled"], "time_ids": parts["size"]}
    return network(z, time, encoder_hidden_states=parts["text"], added_cond_kwargs=added).sample
