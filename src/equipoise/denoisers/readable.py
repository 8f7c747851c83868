"""Are the calls of a network understood? Tried by calls whose noise level is known."""

from typing import Any

import torch

from equipoise.denoisers.network_call import NetworkCall, read_call
from equipoise.denoisers.protocol import Denoiser, device_of
from equipoise.errors import BadInputError

READABLE = 1e-2
"""Relative error of a level that is read from a call, beyond which the call is not understood."""
_LEVELS = (0.3, 2.0)  # of the standard deviation of the data


class _Enough(BaseException):
    """Ends a call before anything is computed; no `except Exception` in between keeps it."""


def check_readable(denoiser: Denoiser) -> None:
    """Make sure that noise levels can be read from the calls of a denoiser's network.

    Raises:
        BadInputError: when they cannot.
    """
    for share in _LEVELS:
        sigma = denoiser.snap(share * denoiser.data_std)
        call = _catch_call(denoiser, sigma)
        if call is None or not bool(((call.sigma / sigma - 1).abs() < READABLE).all()):
            raise BadInputError(
                f"The noise level of a call of this {type(denoiser.network).__name__} cannot be "
                "read. A module of your own must take the sample first and sigma second; wrap it "
                "so with equipoise.wrap."
            )


def _catch_call(denoiser: Denoiser, sigma: float) -> NetworkCall | None:
    """Catch what the network is told at a level, and end the call there."""
    caught: list[NetworkCall | None] = []

    def catch(_: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(read_call(denoiser, args, kwargs))
        raise _Enough

    x = torch.zeros((1, *denoiser.sample_shape), device=device_of(denoiser))
    handle = denoiser.network.register_forward_pre_hook(catch, prepend=True, with_kwargs=True)
    try:
        denoiser.denoise(x, x.new_full((1,), sigma), denoiser.null_condition(1))
    except _Enough:
        pass
    finally:
        handle.remove()
    return caught[0] if caught else None
