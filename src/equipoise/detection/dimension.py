r"""Local intrinsic dimension by FLIPD: around a memorized image the model leaves no directions.

    LID(x0) ~= d + sigma^2 (tr grad s(x0, sigma) + ||s(x0, sigma)||^2)

(FLIPD, Kamkari et al. 2024, in the convention x = x0 + sigma eps; a variance-preserving schedule
gives the same number). With `s = (D - x) / sigma^2` the dimension d cancels:

    LID(x0) ~= tr J(x0) + ||D(x0, sigma) - x0||^2 / sigma^2,        score = -LID

looked at without noise and with the empty condition. The trace is Hutchinson's mean of `v^T J v`
over random signs v, one backward pass each. Simple images have a low dimension too, memorized or
not: that is the known confounder.

References:
    A Geometric View of Data Complexity: Efficient Local Intrinsic Dimension Estimation with
    Diffusion Models (Kamkari et al., 2024) | arXiv 2406.03537
    A Geometric Framework for Understanding Memorization in Generative Models (Ross et al., 2025)
    | arXiv 2411.00113
"""

import torch
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.derivative import pull
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy


class IntrinsicDimension(DrawnDetector):
    """Minus the local intrinsic dimension that the model gives an image.

    Sigma is the scale at which dimension is asked for; a draw is a vector of signs, for the trace.
    """

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="intrinsic_dimension",
            source="Kamkari et al., 2024; Ross et al., 2025 | arXiv 2406.03537, 2411.00113",
            formula="-(tr J(x0) + ||D(x0) - x0||^2 / sigma^2)",
            needs=("gradient",),
            evaluations=2 * self.draws,
            direction="a memorized image has no dimension around it",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Look at the image itself, without noise and without a condition."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            empty = denoiser.null_condition(len(noisy.x0))
            signs = torch.where(noisy.eps >= 0, 1.0, -1.0).to(noisy.x0)
            x0_hat, pulled = pull(
                lambda x: denoiser.denoise(x, noisy.sigma, empty), noisy.x0, signs
            )
            trace = (signs * pulled).double().flatten(1).sum(dim=1)
            moved = (x0_hat - noisy.x0).double().flatten(1).square().sum(dim=1)
            return -(trace + moved / noisy.sigma.double() ** 2)

        return measure_noisy
