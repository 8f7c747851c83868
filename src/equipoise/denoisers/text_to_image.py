"""What the models share that make pictures of latents and are told a text in several parts.

A family brings how its pipeline encodes prompts, and how its network is called; the rest is here.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from equipoise.denoisers.codec import Codec
from equipoise.denoisers.condition import ConditionLayout
from equipoise.denoisers.latent import LatentShapes
from equipoise.denoisers.level import Times
from equipoise.denoisers.prediction import Prediction
from equipoise.denoisers.timed import TimedDenoiser

Parts = Mapping[str, Tensor]
Encode = Callable[[Sequence[str]], Parts]
Tell = Callable[[nn.Module, Tensor, Tensor, Parts], Tensor]


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
