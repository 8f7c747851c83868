r"""Stable Diffusion 3 and 3.5: a flow by a transformer with joint attention of text and picture.

The empty condition is the encoded empty prompt, of all encoders that the pipeline has. Text and
picture run through MLPs of their own, so that default sites can be the picture's alone, as in
DiT: the hidden units of `ff` (not of `ff_context`) in the last third of the blocks.

References:
    Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (Esser et al., 2024)
    | arXiv 2403.03206
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.level import FlowTimes
from equipoise.denoisers.text_to_image import Parts, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser


def build_stable_diffusion_3(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `StableDiffusion3Pipeline`; nothing of it is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.

    Raises:
        BadInputError: when the size is no multiple of a patch.
    """
    config = pipeline.transformer.config
    shapes = fit_shapes(
        pipeline.vae, channels=config.in_channels, default=config.sample_size, size=size,
        patch=config.patch_size,
    )  # fmt: skip
    return build_text_to_image(
        pipeline.transformer,
        encode=partial(_encode, pipeline),
        tell=_tell,
        prediction="flow",
        grid=FlowTimes(),
        shapes=shapes,
        sites=list_late_sites(config.num_layers),
        codec=VaeCodec(pipeline.vae),
        guidance=7.0,
    )


@torch.no_grad()
def _encode(pipeline: Any, prompts: Sequence[str]) -> Parts:  # noqa: ANN401
    text, _, pooled, _ = pipeline.encode_prompt(
        prompt=list(prompts), prompt_2=None, prompt_3=None, do_classifier_free_guidance=False
    )
    return {"text": text, "pooled": pooled}


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    return network(
        z, encoder_hidden_states=parts["text"], pooled_projections=parts["pooled"], timestep=time
    ).sample
