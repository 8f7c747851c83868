r"""Classifier-free guidance: a denoiser that follows its condition more than it was trained to.

    F_w(x; cond) = F(x; empty) + w (F(x; cond) - F(x; empty))

`D` is affine in what the network predicts, so this is the same as guiding `D`. Both halves go
through the network as one batch, the empty one first.

References:
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), Eq. 6 with w there one less
    | arXiv 2207.12598
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from equipoise.denoisers.protocol import Denoiser
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.errors import BadInputError


def guide(denoiser: Denoiser, scale: float) -> Denoiser:
    """Return the denoiser with guidance of this scale; at 1 it is returned as it is.

    Raises:
        BadInputError: for a model that has no empty condition, unless the scale is 1.
    """
    if scale == 1:
        return denoiser
    if not isinstance(denoiser, TimedDenoiser) or denoiser.empty is None:
        raise BadInputError(
            f"Guidance of scale {scale} needs a model with a condition and an empty one: a "
            "text-to-image or class-conditional model. Leave guidance at 1."
        )
    plain = denoiser

    def call(network: nn.Module, z: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
        empty = plain.null_condition(len(z))
        assert empty is not None
        halves = torch.cat([empty, empty if cond is None else cond])
        output = plain.call(network, torch.cat([z, z]), torch.cat([time, time]), halves)
        unasked, asked = output.chunk(2)
        return unasked + scale * (asked - unasked)

    return replace(plain, call=call)
