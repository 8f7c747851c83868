r"""Where a detector that compares two conditions looks, and what it sees there.

Published detectors of memorized prompts look at pure noise, `x = sigma eps` at the largest level:
they know the prompt and no image. At the same price they can look at the image itself,
`x = x0 + sigma eps` at a small level. Either way the model is asked twice, with the condition and
with the empty one:

    e_c - e_u = -(D_c - D_u) / sigma,        s_c - s_u = (D_c - D_u) / sigma^2
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import Noisy

Start = Literal["noise", "image"]
SIGMA_MAX = 80.0
"""Level of pure noise, data units, before it is snapped (Karras et al., 2022, Table 1)."""
GUIDANCE = 7.5
"""Weight of classifier-free guidance in the published detectors."""


@dataclass(frozen=True)
class Answers:
    """What the model says with the condition and with the empty one, about the same samples."""

    with_condition: Float[Tensor, "batch ..."]
    without: Float[Tensor, "batch ..."]

    @property
    def gap(self) -> Float[Tensor, "batch ..."]:
        """The difference `D_c - D_u`."""
        return self.with_condition - self.without

    def guide(self, weight: float) -> Float[Tensor, "batch ..."]:
        """Return the guided estimate `D_u + weight (D_c - D_u)`."""
        return self.without + weight * self.gap


def begin(noisy: Noisy, start: Start) -> Float[Tensor, "batch ..."]:
    """Return the samples to look at: pure noise, or the noisy images."""
    return noisy.noise if start == "noise" else noisy.x


def ask_twice(
    denoiser: Denoiser,
    x: Float[Tensor, "batch ..."],
    sigma: Float[Tensor, " batch"],
    cond: Tensor | None,
) -> Answers:
    """Denoise with the condition and with the empty one."""
    empty = denoiser.null_condition(len(x))
    return Answers(denoiser.denoise(x, sigma, cond), denoiser.denoise(x, sigma, empty))


def norm_of(x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """Return the Euclidean norm of every sample, in float64."""
    return x.double().flatten(1).norm(dim=1)
