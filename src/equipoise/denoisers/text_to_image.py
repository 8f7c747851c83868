"""What the models share that make pictures of latents and are told a text in several parts.

A family brings how its pipeline encodes prompts, and how its network is called; the rest is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from equipoise.denoisers.codec import Codec, VaeCodec
from equipoise.denoisers.condition import ConditionLayout
from equipoise.denoisers.dit import get_prediction, read_grid
from equipoise.denoisers.latent import LatentShapes, Size, fit_shapes
from equipoise.denoisers.level import FlowTimes, Times
from equipoise.denoisers.prediction import Prediction
from equipoise.denoisers.timed import TimedDenoiser

Parts = Mapping[str, Tensor]
Encode = Callable[[Sequence[str]], Parts]
Tell = Callable[[nn.Module, Tensor, Tensor, Parts], Tensor]
EncodeSized = Callable[[Any, Sequence[str], tuple[int, int, int]], Parts]


@dataclass(frozen=True)
class TextFamily:
    """What a family of diffusers says of itself.

    Args:
        network: Name of the network in the pipeline, "unet" or "transformer".
        encode: `encode(pipeline, prompts, image_shape)`, otherwise as in `build_text_to_image`.
        tell: As in `build_text_to_image`.
        sites: `sites(config)` lists the default sites by the network's configuration.
        guidance: Scale of guidance that its pipeline takes when nothing else is said.
        flow: Whether the network predicts a flow; otherwise the scheduler says what it predicts.
        encode_empty: Gives the parts of the empty condition, where that is no empty prompt.
    """

    network: str
    encode: EncodeSized
    tell: Tell
    sites: Callable[[Any], tuple[str, ...]]
    guidance: float
    flow: bool = False
    encode_empty: EncodeSized | None = None


def build_of_family(
    family: TextFamily,
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    *,
    size: Size | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a pipeline of a family; nothing of it is changed.

    Args:
        family: What is known of the pipeline's class.
        pipeline: The pipeline.
        size: Height and width of the pictures, pixels; default those of its training.

    Raises:
        BadInputError: when its schedule is not understood, or the size is no multiple of a patch.
    """
    network, scheduler = getattr(pipeline, family.network), pipeline.scheduler
    config = network.config
    shapes = fit_shapes(
        pipeline.vae, channels=config.in_channels, default=config.sample_size, size=size,
        patch=getattr(config, "patch_size", 1),
    )  # fmt: skip
    empty = None
    if family.encode_empty is not None:
        empty = family.encode_empty(pipeline, [""], shapes.image)
    return build_text_to_image(
        network,
        encode=lambda prompts: family.encode(pipeline, prompts, shapes.image),
        tell=family.tell,
        prediction="flow" if family.flow else get_prediction(scheduler),
        grid=FlowTimes() if family.flow else read_grid(scheduler),
        shapes=shapes,
        sites=family.sites(config),
        codec=VaeCodec(pipeline.vae),
        guidance=family.guidance,
        empty=empty,
    )


def build_text_to_image(
    network: nn.Module,
    *,
    encode: Encode,
    tell: Tell,
    prediction: Prediction,
    grid: Times,
    shapes: LatentShapes,
    sites: tuple[str, ...],
    codec: Codec,
    guidance: float = 1.0,
    empty: Parts | None = None,
) -> TimedDenoiser:
    """Make a denoiser of a network and what its family says of it.

    Args:
        network: The U-Net or transformer.
        encode: `encode(prompts)` gives the parts of the condition by name, one row a prompt, the
            text first.
        tell: `tell(network, z, time, parts)` calls the network and gives what `prediction` names,
            in the shape of `z`.
        prediction: What the network predicts.
        grid: Noise levels of its times.
        shapes: Of samples and pictures.
        sites: Sites to look at when nobody chose others.
        codec: Pictures to samples and back.
        guidance: Scale of guidance that its pipeline takes when nothing else is said.
        empty: Parts of the empty condition, with a batch axis of 1; default the empty prompt's.
    """
    unasked = encode([""]) if empty is None else empty
    layout = ConditionLayout.of(unasked)

    def call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
        assert cond is not None, "a denoiser with an empty condition is never without one"
        return tell(network, z, time, layout.unpack(cond))

    return TimedDenoiser(
        network=network,
        call=call,
        prediction=prediction,
        grid=grid,
        codec=codec,
        empty=layout.pack(unasked),
        sample_shape=shapes.sample,
        image_shape=shapes.image,
        data_std=1.0,  # the autoencoder's scaling factor was chosen for it
        default_sites=sites,
        text_encoder=lambda prompts: layout.pack(encode(prompts)),
        guidance=guidance,
        layout=layout,
    )
