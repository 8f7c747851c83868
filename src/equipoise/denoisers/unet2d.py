r"""Unconditional U-Nets of diffusers (`UNet2DModel`): DDPM, DDIM and score models.

DDPM and DDIM know discrete times and predict eps, v or x0 on pictures in [-1, 1]. A score model
knows every noise level, works on pictures in [0, 1], and answers the score, from which follows

    D(x; sigma) = x + sigma^2 s(x; sigma)

Default sites are those of Stable Diffusion: what enters the second convolution of the residual
blocks of the lowest level going up, and of the first block of the level above.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020) | arXiv 2006.11239
    Score-Based Generative Modeling through SDEs (Song et al., 2021) | arXiv 2011.13456
"""

from typing import Any

from torch import Tensor, nn

from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.dit import get_prediction, read_grid
from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.preconditioning import PIXEL_STD
from equipoise.denoisers.stable_diffusion import DEFAULT_SITES
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.denoisers.wrapped import WrappedDenoiser, wrap
from equipoise.errors import BadInputError


def build_unet2d(
    unet: nn.Module,
    scheduler: Any,  # noqa: ANN401 - diffusers is optional, and its schedulers share no type
) -> TimedDenoiser | WrappedDenoiser:
    """Make a denoiser of a `UNet2DModel`; nothing of it is changed.

    Raises:
        BadInputError: when it needs a class for every picture, or its schedule is not understood.
    """
    config: Any = unet.config
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        raise BadInputError(
            "This UNet2DModel needs the class of every picture and has no empty condition to look "
            "with. Models without classes are read."
        )
    side = config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    shape = (config.in_channels, height, width)
    sites = DEFAULT_SITES[: len(config.up_block_types)]
    if not hasattr(scheduler, "alphas_cumprod"):
        return _build_score_model(unet, scheduler, shape, sites)
    return TimedDenoiser(
        network=unet,
        call=_call,
        prediction=get_prediction(scheduler),
        grid=read_grid(scheduler),
        codec=PixelCodec(),
        empty=None,
        sample_shape=shape,
        image_shape=shape,
        data_std=PIXEL_STD,
        default_sites=sites,
    )


def _build_score_model(
    unet: nn.Module,
    scheduler: Any,  # noqa: ANN401
    shape: tuple[int, ...],
    sites: tuple[str, ...],
) -> WrappedDenoiser:
    if type(scheduler).__name__ != "ScoreSdeVeScheduler":
        raise BadInputError(
            f"Cannot look into a UNet2DModel with a {type(scheduler).__name__}: schedulers with "
            "alphas_cumprod (DDPM, DDIM, PNDM) and ScoreSdeVeScheduler are known."
        )
    return wrap(
        unet,
        sample_shape=shape,
        data_std=PIXEL_STD / 2,
        prediction="x0",
        call=_denoise_by_score,
        sites=sites,
        value_range=(0.0, 1.0),
    )


def _call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    # A model that learned its variance gives it in the channels behind.
    return network(z, time).sample[:, : z.shape[1]]


def _denoise_by_score(network: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
    weights = next(network.parameters())
    score = network(x.to(weights.dtype), sigma).sample.to(x.dtype)
    return x + per_sample(sigma, x) ** 2 * score
