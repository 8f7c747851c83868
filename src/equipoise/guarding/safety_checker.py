"""A calibration of finished pictures in the slot that Stable Diffusion has for a safety checker.

    pipeline.safety_checker = SafetyChecker(model, calibration)

The pipeline hands over what its VAE decoded, (case, channel, height, width) with values in
[-1, 1], and gets it back with the flagged pictures zeroed, which it then shows as black.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration
from equipoise.errors import CalibrationError
from equipoise.images import as_unit, content_ids, quantize


@dataclass(frozen=True)
class SafetyChecker:
    """Flags what a calibration calls memorized; called by the pipeline."""

    denoiser: Denoiser
    calibration: Calibration

    def __post_init__(self) -> None:
        self.calibration.check_model(self.denoiser)
        if self.calibration.detector.condition == "own":
            raise CalibrationError(
                "A pipeline does not say to its safety checker what a picture was asked for, "
                "which this calibration's detector is told. Give one made without --told."
            )

    def __call__(
        self, images: Float[Tensor, "case channel height width"], clip_input: object
    ) -> tuple[Float[Tensor, "case channel height width"], list[bool]]:
        """Return the pictures, flagged ones zeroed, and which were flagged.

        Args:
            images: Values in [-1, 1].
            clip_input: What other checkers look at; not used.
        """
        pictures = quantize((images.float() + 1) / 2)
        detector, ids = self.calibration.detector, content_ids(pictures)
        scores = detector.score(self.denoiser, as_unit(pictures), ids).values
        flagged = scores >= self.calibration.threshold
        kept = images.clone()
        kept[flagged.to(images.device)] = 0
        return kept, flagged.tolist()
