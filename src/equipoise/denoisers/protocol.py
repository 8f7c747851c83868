r"""The one language inside: a denoiser estimates the clean sample.

With `x = x0 + sigma * eps`, `eps ~ N(0, I)`, a denoiser is `D(x, sigma, cond) ~= E[x0 | x]`.
`sigma` has shape `(batch,)` and is in data units. Timesteps, alpha-bars and eps-, v- or
flow-predictions exist only in the adapters of this room.
"""

import hashlib
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.placement import find_device, list_plain
from equipoise.errors import BadInputError, NonFiniteError


@runtime_checkable
class Denoiser(Protocol):
    """What we look into. Every adapter of this room offers exactly these names."""

    @property
    def network(self) -> nn.Module:
        """The module whose sites are captured."""
        ...

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample `x0`, without the batch axis."""
        ...

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one picture that `encode` takes, without the batch axis."""
        ...

    @property
    def data_std(self) -> float:
        """Standard deviation of the clean samples, in data units; scales the default sigma."""
        ...

    @property
    def default_sites(self) -> tuple[str, ...]:
        """Sites to look at when nobody chose others."""
        ...

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Estimate `E[x0 | x]`; `cond` is what `null_condition` returns, or a real condition."""
        ...

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level the model knows; `sigma` itself where it knows all."""
        ...

    def null_condition(self, batch: int) -> Tensor | None:
        """Return the empty condition for `batch` samples; None for an unconditional model."""
        ...

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map images with values in [0, 1] to clean samples `x0`."""
        ...

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map clean samples back to images with values in [0, 1]."""
        ...


def device_of(denoiser: Denoiser) -> torch.device:
    """Say where a denoiser computes."""
    return find_device(denoiser.network)


def fingerprint(denoiser: Denoiser) -> str:
    """Hash names, shapes, types and values of the weights: 16 hexadecimal digits.

    Two denoisers with one fingerprint hold the same weights; calibrations and concept vectors
    carry it and are refused elsewhere.
    """
    digest = hashlib.blake2b(digest_size=8)
    # torch.compile puts a wrapper into the names; the weights are the same.
    state = denoiser.network.state_dict()
    weights = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    plain = dict(p for name, tensor in weights.items() for p in list_plain(name, tensor))
    for name, tensor in sorted(plain.items()):
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_finite_weights(network: nn.Module) -> None:
    """Refuse a network that holds NaN or infinity.

    Raises:
        NonFiniteError: naming the first tensors concerned.
    """
    bad = [name for name, weights in network.state_dict().items() if not _is_finite(weights)]
    if bad:
        raise NonFiniteError(
            f"The weights hold NaN or infinity in {len(bad)} tensor(s): {', '.join(bad[:3])}. "
            "Every weight must be finite; save the checkpoint again from a healthy step."
        )


def _is_finite(weights: Tensor) -> bool:
    """Tell whether all numbers are finite; a sum that is finite, which is fast, proves it."""
    return bool(torch.isfinite(weights.sum())) or bool(torch.isfinite(weights).all())


def check_device(device: str) -> None:
    """Refuse a device that torch cannot use here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(
            f'The device "{device}" cannot be used here: {str(error).splitlines()[0]} '
            'Give "cpu", or "cuda" on a machine that has one.'
        ) from error
