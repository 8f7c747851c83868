r"""FLUX.2: a flow by a transformer on normalised squares of latents, told a text of one encoder.

Four latents in a square are one unit of the sample already, brought to mean 0 and variance 1 by
the autoencoder, and one token of the network, with its place as an id of four numbers. The
distilled model is told its guidance, as in FLUX.1, and "unconditional" means the empty prompt at
a stated value; Klein is told none, and is guided by a second forward with the empty prompt.
Default sites are the picture's own MLPs in the last third of the double-stream blocks, as in
FLUX.1; the released models have a few of these blocks only, before many of one stream.

Live pipelines are looked into. Their folders are not opened: the tokenizers there bring chat
templates, which are programs.

References:
    FLUX.2 (Black Forest Labs, 2025) | https://github.com/black-forest-labs/flux2
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import list_late_blocks
from equipoise.denoisers.flux import choose_guidance
from equipoise.denoisers.latent import LatentShapes, Size, fit_shapes
from equipoise.denoisers.level import FlowTimes
from equipoise.denoisers.text_to_image import Parts, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser

GUIDANCE = 4.0
"""What a distilled network is told when nothing else is said: the pipeline's own value, which is
also the scale at which Klein is guided."""


def build_flux2(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
    guidance: float | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `Flux2Pipeline` or `Flux2KleinPipeline`; nothing of it is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.
        guidance: What a distilled network is told; default 4.

    Raises:
        BadInputError: when the size is no multiple of a patch, or a guidance is given to a
            network that is told none.
    """
    config = pipeline.transformer.config
    latents = fit_shapes(
        pipeline.vae, channels=config.in_channels, default=pipeline.default_sample_size,
        size=size, patch=2,
    )  # fmt: skip
    channels, height, width = latents.sample
    guided = not config.guidance_embeds and not getattr(pipeline.config, "is_distilled", True)
    return build_text_to_image(
        pipeline.transformer,
        encode=partial(_encode, pipeline),
        tell=partial(_tell, choose_guidance(config, guidance, default=GUIDANCE)),
        prediction="flow",
        grid=FlowTimes(unit=1.0),
        shapes=LatentShapes((channels, height // 2, width // 2), latents.image),
        sites=list_late_gated_sites(config.num_layers),
        codec=VaeCodec(pipeline.vae),
        guidance=GUIDANCE if guided else 1.0,
    )


def list_late_gated_sites(blocks: int) -> tuple[str, ...]:
    """List the hidden units of the gated MLP in the last third of the double-stream blocks."""
    return tuple(f"transformer_blocks.{b}.ff.linear_out:in" for b in list_late_blocks(blocks))


@torch.no_grad()
def _encode(pipeline: Any, prompts: Sequence[str]) -> Parts:  # noqa: ANN401
    text, _ = pipeline.encode_prompt(prompt=list(prompts))
    return {"text": text}


def _tell(
    guidance: float | None, network: nn.Module, z: Tensor, time: Tensor, parts: Parts
) -> Tensor:
    (rows, columns), text = z.shape[2:], parts["text"]
    output = network(
        z.flatten(2).transpose(1, 2),
        encoder_hidden_states=text,
        timestep=time,
        guidance=None if guidance is None else torch.full_like(time, guidance),
        txt_ids=_list_places(1, 1, text.shape[1]).expand(len(z), -1, -1).to(z.device),
        img_ids=_list_places(rows, columns, 1).expand(len(z), -1, -1).to(z.device),
    ).sample
    return output.transpose(1, 2).unflatten(2, (rows, columns))


def _list_places(rows: int, columns: int, words: int) -> Tensor:
    """Give every token its id: 0, row, column, place in the text."""
    counts = (1, rows, columns, words)
    return torch.cartesian_prod(*(torch.arange(count) for count in counts))
