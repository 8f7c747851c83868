r"""PixArt Alpha and Sigma: a DiT that is told a text by cross-attention.

The empty condition is the encoded empty prompt with its mask. Alpha at 1,024 px is told the size
of the picture as well. Default sites are those of DiT: the hidden units of the MLP in the last
third of the blocks, which are its blocks with a cross-attention more.

References:
    PixArt-alpha (Chen et al., 2024) | arXiv 2310.00426
    PixArt-Sigma (Chen et al., 2024) | arXiv 2403.04692
"""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import get_prediction, list_late_sites, read_grid
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.text_to_image import Parts, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser

SIZES = ("resolution", "aspect_ratio")


def build_pixart(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `PixArtAlphaPipeline` or `PixArtSigmaPipeline`; nothing is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.

    Raises:
        BadInputError: when its schedule is not understood, or the size is no multiple of a patch.
    """
    transformer, config = pipeline.transformer, pipeline.transformer.config
    shapes = fit_shapes(
        pipeline.vae, channels=config.in_channels, default=config.sample_size, size=size,
        patch=config.patch_size,
    )  # fmt: skip
    height, width = shapes.image[1:]
    told = torch.tensor([[height, width, height / width]])
    return build_text_to_image(
        transformer,
        encode=partial(_encode, pipeline, told if transformer.use_additional_conditions else None),
        tell=_tell,
        prediction=get_prediction(pipeline.scheduler),
        grid=read_grid(pipeline.scheduler),
        shapes=shapes,
        sites=list_late_sites(config.num_layers),
        codec=VaeCodec(pipeline.vae),
        guidance=4.5,
    )


@torch.no_grad()
def _encode(
    pipeline: Any,  # noqa: ANN401
    size: Tensor | None,
    prompts: Sequence[str],
) -> Parts:
    # The pipeline's call cleans captions where it can.
    cleans = all(find_spec(name) is not None for name in ("bs4", "ftfy"))
    text, mask, *_ = pipeline.encode_prompt(
        list(prompts), do_classifier_free_guidance=False, clean_caption=cleans
    )
    parts = {"text": text, "mask": mask}
    if size is None:
        return parts
    rows = size.expand(len(text), -1).to(text.device)
    return {**parts, "resolution": rows[:, :2], "aspect_ratio": rows[:, 2:]}


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    output = network(
        z, encoder_hidden_states=parts["text"], timestep=time,
        encoder_attention_mask=parts["mask"], added_cond_kwargs={n: parts.get(n) for n in SIZES},
    ).sample  # fmt: skip
    # A model that learned its variance gives it in the channels behind.
    return output[:, : z.shape[1]]
