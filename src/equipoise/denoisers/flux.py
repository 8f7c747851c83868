r"""FLUX.1: a flow by a transformer on packed latents, guidance distilled into it.

Four latents in a square become one token of the network, each with its place as an id. The
distilled model knows no empty condition to guide away from; "unconditional" means the empty
prompt at a stated value of the guidance it is told. Default sites are the picture's own MLPs in
the last third of the double-stream blocks: in the single-stream blocks behind them text and
picture are one sequence, and a maximum over tokens would be taken over both.

References:
    FLUX (Black Forest Labs, 2024) | https://github.com/black-forest-labs/flux
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.level import FlowTimes
from equipoise.denoisers.text_to_image import Parts, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError

GUIDANCE = 3.5
"""What the network is told when nothing else is said: the pipeline's own value."""


def build_flux(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
    guidance: float | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a `FluxPipeline`; nothing of it is changed.

    Args:
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.
        guidance: What a distilled network is told; default 3.5.

    Raises:
        BadInputError: when the size is no multiple of a patch, or a guidance is given to a
            network that is told none.
    """
    config = pipeline.transformer.config
    shapes = fit_shapes(
        pipeline.vae, channels=config.in_channels // 4, default=pipeline.default_sample_size,
        size=size, patch=2,
    )  # fmt: skip
    return build_text_to_image(
        pipeline.transformer,
        encode=partial(_encode, pipeline),
        tell=partial(_tell, choose_guidance(config, guidance, default=GUIDANCE)),
        prediction="flow",
        grid=FlowTimes(unit=1.0),
        shapes=shapes,
        sites=list_late_sites(config.num_layers),
        codec=VaeCodec(pipeline.vae),
    )


def choose_guidance(
    config: Any,  # noqa: ANN401
    guidance: float | None,
    *,
    default: float,
) -> float | None:
    """Return what a network is told of guidance; None for one that is told nothing."""
    if config.guidance_embeds:
        return default if guidance is None else guidance
    if guidance is not None:
        raise BadInputError(
            f"This transformer is told no guidance (guidance_embeds is off), and {guidance} was "
            "given. Leave guidance out."
        )
    return None


def pack(z: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch token unit"]:
    """Turn squares of four latents into tokens: (batch, height/2 * width/2, 4 * channel)."""
    return nn.functional.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2)


def unpack(
    tokens: Float[Tensor, "batch token unit"], height: int, width: int
) -> Float[Tensor, "batch channel rows columns"]:
    """Turn tokens back into latents of `height` and `width`."""
    squares = tokens.transpose(1, 2).unflatten(2, (height // 2, width // 2))
    return nn.functional.pixel_shuffle(squares, 2)


@torch.no_grad()
def _encode(pipeline: Any, prompts: Sequence[str]) -> Parts:  # noqa: ANN401
    text, pooled, _ = pipeline.encode_prompt(prompt=list(prompts), prompt_2=None)
    return {"text": text, "pooled": pooled}


def _tell(
    guidance: float | None, network: nn.Module, z: Tensor, time: Tensor, parts: Parts
) -> Tensor:
    height, width = z.shape[2:]
    output = network(
        pack(z),
        encoder_hidden_states=parts["text"],
        pooled_projections=parts["pooled"],
        timestep=time,
        guidance=None if guidance is None else torch.full_like(time, guidance),
        txt_ids=z.new_zeros(parts["text"].shape[1], 3),
        img_ids=_list_places(height // 2, width // 2).to(z),
    ).sample
    return unpack(output, height, width)


def _list_places(rows: int, columns: int) -> Tensor:
    """Give every token its id: 0, row, column."""
    return torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))
