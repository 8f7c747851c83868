r"""A denoiser whose network is told a time, with or without a condition.

    D(x; sigma, cond) from F(z, t, cond),   z = x / sqrt(1 + sigma^2),   sigma = sigma_t

and `z = x / (1 + sigma)` of a flow. The pieces come from the builder of each family, see
`family.py`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.codec import Codec
from equipoise.denoisers.condition import ConditionLayout
from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.level import Times
from equipoise.denoisers.placement import find_dtype
from equipoise.denoisers.prediction import Prediction, estimate_x0, scale_input
from equipoise.denoisers.protocol import Denoiser
from equipoise.errors import BadInputError

Call = Callable[[nn.Module, Tensor, Tensor, Tensor | None], Tensor]
TextEncoder = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class TimedDenoiser:
    """A network that is told a time and a condition.

    Args:
        network: The module whose sites are captured.
        call: `call(network, z, time, cond)` gives what `prediction` names.
        prediction: What the network predicts.
        grid: Noise levels of the times.
        codec: Pictures to samples and back.
        empty: The empty condition of one sample, with a batch axis of 1; None for a model
            without conditions.
        sample_shape: Channels, height, width of a sample.
        image_shape: Channels, height, width of a picture.
        data_std: Standard deviation of the samples, in data units.
        default_sites: Sites to look at when nobody chose others.
        text_encoder: Maps prompts to conditions; None for a model that takes none.
        guidance: Scale of classifier-free guidance that its pipeline takes when nothing else is
            said; 1 asks with the condition alone.
        layout: Parts of a condition that has several; None where it is one tensor.
    """

    network: nn.Module
    call: Call
    prediction: Prediction
    grid: Times
    codec: Codec
    empty: Tensor | None
    sample_shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    data_std: float
    default_sites: tuple[str, ...]
    text_encoder: TextEncoder | None = None
    guidance: float = 1.0
    layout: ConditionLayout | None = None

    def denoise(
        self,
        x: Float[Tensor, "batch channel height width"],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch channel height width"]:
        """Estimate `E[x0 | x]`; without a condition the empty one is meant.

        Raises:
            BadInputError: for a noise level that the model does not know, see `snap`.
        """
        time = self.grid.find_time(sigma)
        level = per_sample(sigma, x)
        scaled = "flow" if self.prediction == "flow" else "v"  # of a schedule: like v, whatever F
        z = scale_input(scaled, x, level).to(find_dtype(self.network))
        chosen = self.null_condition(len(x)) if cond is None else cond
        output = self.call(self.network, z, time, chosen).to(x.dtype)
        return estimate_x0(self.prediction, output, x, level)

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level that the model knows."""
        return self.grid.snap(sigma)

    def null_condition(self, batch: int) -> Tensor | None:
        """Return the empty condition for `batch` samples; None for a model without conditions."""
        if self.empty is None:
            return None
        return self.empty.expand(batch, *self.empty.shape[1:])

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Return the condition of each prompt, on the device of the empty one.

        Raises:
            BadInputError: when the model takes no prompts.
        """
        if self.text_encoder is None or self.empty is None:
            raise BadInputError(
                "This model takes no prompts. Give prompts to a text-to-image model only."
            )
        return self.text_encoder(prompts).to(self.empty)

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map pictures with values in [0, 1] to samples."""
        return self.codec.encode(images)

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map samples to pictures with values in [0, 1]."""
        return self.codec.decode(x0)

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "TimedDenoiser":
        """Return a copy on `device` in `dtype`; the original is left as it was."""
        network = copy.deepcopy(self.network).to(device=device, dtype=dtype)
        empty = self.empty
        if empty is not None:
            empty = empty.to(device, dtype if empty.is_floating_point() else None)
        return replace(self, network=network, codec=self.codec.to(device, dtype), empty=empty)


def encode_prompts(denoiser: Denoiser, prompts: Sequence[str]) -> Tensor:
    """Return the condition of each prompt.

    Raises:
        BadInputError: when the model takes no prompts.
    """
    if not isinstance(denoiser, TimedDenoiser):
        raise BadInputError("This model takes no prompts; only text-to-image models do.")
    return denoiser.encode_prompts(prompts)
