r"""DiT in diffusers' format: a class-conditional transformer on latents or on pixels.

The empty condition is the null class, the last row of the class embedding, which label dropout
trains. Default sites are what enters the second linear layer of the MLP in the last third of the
blocks: its hidden units after the activation.

References:
    Scalable Diffusion Models with Transformers (Peebles and Xie, 2023) | arXiv 2212.09748
"""

from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.codec import PixelCodec, VaeCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.placement import find_device
from equipoise.denoisers.prediction import Prediction
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError

TOLD: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
"""Our words for what a diffusers scheduler says its model predicts."""


def build_dit(
    transformer: nn.Module,
    scheduler: Any,  # noqa: ANN401 - diffusers is optional, and its schedulers share no type
    *,
    vae: Any = None,  # noqa: ANN401
    data_std: float = 1.0,
) -> TimedDenoiser:
    """Make a denoiser of a `DiTTransformer2DModel`; nothing of it is changed.

    Args:
        transformer: The transformer.
        scheduler: A scheduler of its training schedule, with `alphas_cumprod`.
        vae: `AutoencoderKL` of its latents; None when it was trained on pixels in [-1, 1].
        data_std: Standard deviation of its samples; about 1 for scaled latents.

    Raises:
        BadInputError: when it has no null class, or its schedule is not understood.
    """
    config: Any = transformer.config
    num_classes = config.num_embeds_ada_norm
    null_class = _find_null_class(transformer, num_classes)
    side, channels = config.sample_size, config.in_channels
    codec = PixelCodec() if vae is None else VaeCodec(vae)
    scale = 1 if vae is None else 2 ** (len(vae.config.block_out_channels) - 1)
    return TimedDenoiser(
        network=transformer,
        call=_call,
        prediction=get_prediction(scheduler),
        grid=read_grid(scheduler),
        codec=codec,
        empty=torch.tensor([null_class], device=find_device(transformer)),
        sample_shape=(channels, side, side),
        image_shape=(channels if vae is None else vae.config.in_channels, *[side * scale] * 2),
        data_std=data_std,
        default_sites=list_late_sites(config.num_layers),
    )


def list_late_sites(blocks: int) -> tuple[str, ...]:
    """List the hidden units of the MLP in the last third of the blocks of a transformer."""
    return tuple(f"transformer_blocks.{b}.ff.net.2:in" for b in list_late_blocks(blocks))


def list_late_blocks(blocks: int) -> range:
    """List the last third of the blocks of a transformer, at least one."""
    return range(blocks - max(1, blocks // 3), blocks)


def read_grid(scheduler: Any) -> NoiseGrid:  # noqa: ANN401
    """Read the noise levels of the times that a diffusers scheduler was trained on.

    Raises:
        BadInputError: for a scheduler without `alphas_cumprod`.
    """
    if not hasattr(scheduler, "alphas_cumprod"):
        raise BadInputError(
            f"The training schedule of a {type(scheduler).__name__} is not known: schedulers with "
            "alphas_cumprod (DDPM, DDIM, PNDM, Euler, DPM++ and others) are read."
        )
    return NoiseGrid.from_alphas(scheduler.alphas_cumprod)


def get_prediction(scheduler: Any) -> Prediction:  # noqa: ANN401
    """Read what the model behind a diffusers scheduler predicts.

    Raises:
        BadInputError: for a kind of prediction that is not known.
    """
    told = scheduler.config.prediction_type
    if told not in TOLD:
        raise BadInputError(
            f'The scheduler says that its model predicts "{told}"; known are {", ".join(TOLD)}.'
        )
    return TOLD[told]


def _find_null_class(transformer: nn.Module, num_classes: int) -> int:
    tables: list[Tensor] = [
        weights for name, weights in transformer.state_dict().items()
        if name.endswith("class_embedder.embedding_table.weight")
    ]  # fmt: skip
    rows = len(tables[0]) if tables else 0
    if rows <= num_classes:
        raise BadInputError(
            f"This DiT has no null class: its class embedding has {rows} rows for {num_classes} "
            "classes. It was trained without label dropout and has no empty condition to look "
            "with."
        )
    return num_classes


def _call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    output = network(z, timestep=time, class_labels=cond).sample
    # A model that learned its variance gives it in the channels behind.
    return output[:, : z.shape[1]]
