"""How well a model knows a picture: how little it errs on it, told what the picture was called."""

from typing import Any

from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection import Card, DrawnDetector, Measure, Noisy


class LogResidual(DrawnDetector):
    """Minus the logarithm of the root mean square of `D(x0 + sigma eps; caption) - x0`.

    A difference of two such scores is the logarithm of a ratio of errors, whatever the picture.
    """

    captioned: bool = False
    """Whether the model is told the caption; else the empty condition."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="log_residual",
            source="ours",
            formula="-log rms(D(x0 + sigma eps; c) - x0)",
            evaluations=self.draws,
            direction="a picture that was learned comes back from its noise",
            needs=("condition",) if self.captioned else (),
        )

    def describe(self) -> dict[str, Any]:
        """Return the specification for people."""
        return self.model_dump()

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Denoise; one whole forward a draw."""

        def measure_noisy(noisy: Noisy) -> Tensor:
            cond = noisy.cond if self.captioned else denoiser.null_condition(len(noisy.x0))
            error = denoiser.denoise(noisy.x, noisy.sigma, cond) - noisy.x0
            return -error.double().flatten(1).square().mean(dim=1).sqrt().log()

        return measure_noisy
