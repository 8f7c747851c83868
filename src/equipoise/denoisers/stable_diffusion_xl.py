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

from equipoise.denoisers.stable_diffusion import DEFAULT_SITES
from equipoise.denoisers.text_to_image import Parts, TextFamily


@torch.no_grad()
def _encode(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    prompts: Sequence[str],
    image_shape: tuple[int, int, int],
    *,
    empty: bool = False,
) -> Parts:
    text, negative, pooled, pooled_negative = pipeline.encode_prompt(
        list(prompts), do_classifier_free_guidance=empty
    )
    _, height, width = image_shape
    uncropped = torch.tensor([[height, width, 0, 0, height, width]])
    return {
        "text": negative if empty else text,
        "pooled": pooled_negative if empty else pooled,
        "size": uncropped.expand(len(prompts), -1).to(text.device),
    }


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    added = {"text_embeds": parts["pooled"], "time_ids": parts["size"]}
    return network(z, time, encoder_hidden_states=parts["text"], added_cond_kwargs=added).sample


STABLE_DIFFUSION_XL = TextFamily(
    network="unet",
    encode=_encode,
    encode_empty=partial(_encode, empty=True),
    tell=_tell,
    sites=lambda _: DEFAULT_SITES,
    guidance=5.0,
)
