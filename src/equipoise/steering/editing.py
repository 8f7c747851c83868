r"""Edit a picture that exists: back to noise along the model's own ODE, and forth with steering.

    dx/dsigma = (x - D(x; sigma)) / sigma

is followed upwards by Heun's method from the picture, taken for a sample at the smallest noise
level, to a level of choice, and from there down again, steered. Without steering the way down
leads back; how far from the picture it ends is the *reconstruction error*, which bounds what an
edit can mean.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    Algorithm 1 | arXiv 2206.00364
    Denoising Diffusion Implicit Models (Song et al., 2021), Sec. 5.4: encoding | arXiv 2010.02502
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser, device_of
from equipoise.errors import BadInputError
from equipoise.sampling import sample_heun
from equipoise.steering.application import steer
from equipoise.steering.arithmetic import Mode
from equipoise.steering.session import Window
from equipoise.steering.vector import ConceptVector


@dataclass(frozen=True)
class Edit:
    """A picture at several strengths, and how well it comes back without steering.

    Args:
        strengths: In units of the vector.
        pictures: One a strength, values in [0, 1].
        reconstruction: The picture after the way up and down at strength 0.
        error: Root mean square of its difference from the picture, values in [0, 1].
    """

    strengths: tuple[float, ...]
    pictures: Float[Tensor, "strength channel height width"]
    reconstruction: Float[Tensor, "channel height width"]
    error: float


def invert(
    denoiser: Denoiser,
    x0: Float[Tensor, "batch ..."],
    sigmas: Sequence[float],
    *,
    cond: Tensor | None = None,
) -> Float[Tensor, "batch ..."]:
    """Follow the ODE upwards from clean samples, and return `x` at the largest noise level.

    Args:
        denoiser: The model.
        x0: Clean samples, taken for samples at the smallest level before 0.
        sigmas: Decreasing noise levels, data units, the last one 0: the way down.
        cond: Condition; None means the empty one.
    """
    cond = denoiser.null_condition(len(x0)) if cond is None else cond

    def slope(x: Tensor, sigma: float) -> Tensor:
        return (x - denoiser.denoise(x, x.new_full((len(x),), sigma), cond)) / sigma

    x = x0
    with torch.no_grad():
        for sigma, above in pairwise(list(sigmas)[-2::-1]):
            first = slope(x, sigma)
            x_next = x + (above - sigma) * first
            x = x + (above - sigma) * (first + slope(x_next, above)) / 2
    return x


def list_way(sigmas: Sequence[float], start: float | None) -> list[float]:
    """Return the noise levels up to a start; None is all of them.

    Raises:
        BadInputError: when no way is left.
    """
    levels = [sigma for sigma in sigmas if start is None or sigma <= start * (1 + 1e-6)]
    if len(levels) < 3:
        raise BadInputError(
            f"Going back to noise level {start} leaves no way: the levels are "
            f"{', '.join(f'{sigma:.3g}' for sigma in sigmas)}. Give a higher start."
        )
    return levels


def edit_picture(
    denoiser: Denoiser,
    image: Float[Tensor, "channel height width"],
    vector: ConceptVector,
    *,
    strengths: Sequence[float],
    sigmas: Sequence[float],
    start: float | None = None,
    window: Window | None = None,
    mode: Mode = "add",
    cond: Tensor | None = None,
) -> Edit:
    """Take a picture back to noise and bring it forth at several strengths.

    Args:
        denoiser: The model.
        image: Values in [0, 1], in the shape the model encodes.
        vector: What to steer with.
        strengths: In units of the vector.
        sigmas: Decreasing noise levels, data units, the last one 0.
        start: Go back to the highest of them up to this level only, which keeps more of the
            picture; None is all the way.
        window: Where to act, see `steer`.
        mode: What to do, see `steer`.
        cond: Condition of one sample on both ways, with a batch axis of 1; None the empty one.

    Raises:
        BadInputError: when no way is left, or steering cannot be done.
    """
    levels = list_way(sigmas, start)
    x0 = denoiser.encode(image[None].to(device_of(denoiser)))
    noise = invert(denoiser, x0, levels, cond=cond) / levels[0]
    *_, back = sample_heun(denoiser, noise, levels, cond=cond)
    reconstruction = denoiser.decode(back.x)[0].cpu()
    count = len(strengths)
    many = None if cond is None else cond.expand(count, *cond.shape[1:])
    with steer(denoiser, vector, strength=list(strengths), window=window, mode=mode):
        *_, last = sample_heun(
            denoiser, noise.expand(count, *noise.shape[1:]).clone(), levels, cond=many
        )
    return Edit(
        tuple(strengths),
        denoiser.decode(last.x).cpu(),
        reconstruction,
        float((reconstruction - image.cpu()).square().mean().sqrt()),
    )
