"""All shipped detectors keep the contract, and each check can fail."""

import dataclasses

import pytest
import torch

from equipoise.bench.baselines import DenoisingResidual
from equipoise.detection import (
    Anisotropy,
    Card,
    IntrinsicDimension,
    NoiseGap,
    OneStepConfidence,
    OneStepSimilarity,
    ResidualGain,
    Scores,
    Sharpness,
    Spikiness,
    TiledDistance,
)
from equipoise.detection.conformance import check_detector
from equipoise.detection.pole import build_pole
from equipoise.errors import NonFiniteError
from equipoise.sampling import SamplerSpec

POLE = build_pole()
SHIPPED = [
    Spikiness(sites=("softmax:out",), sigma=0.1),
    DenoisingResidual(sigma=0.2),
    IntrinsicDimension(sigma=0.1),
    Spikiness(sites=("softmax:out",), sigma=0.1, condition="own"),
    NoiseGap(sigma=80.0),
    NoiseGap(sigma=80.0, steps=4),
    NoiseGap(sigma=3.0, start="image"),
    Sharpness(sigma=80.0),
    Anisotropy(sigma=80.0, sigma_low=0.05),
    OneStepConfidence(sigma=1.0),
    OneStepSimilarity(sigma=80.0, draws=3),
    TiledDistance(sampler=SamplerSpec(steps=4), draws=2),
]


@pytest.mark.slow
@pytest.mark.parametrize("detector", SHIPPED, ids=lambda d: d.card.name)
def test_a_shipped_detector_keeps_the_contract(detector):
    check_detector(detector, pole=POLE)


def test_a_ratio_of_errors_keeps_the_contract():
    """In float64: the error on a memorized image is near the rounding of float32."""
    exact = dataclasses.replace(POLE, images=POLE.images.double())
    check_detector(ResidualGain(sigma=1.0), pole=exact)


CARD = Card(name="brightness", source="nobody", formula="mean", evaluations=0, direction="none")


@dataclasses.dataclass(frozen=True)
class Broken:
    """Scores by what the model stored, except that one thing about it is wrong."""

    fault: str = ""

    @property
    def card(self):
        return dataclasses.replace(CARD, source="" if self.fault == "source" else "nobody")

    def score(self, denoiser, images, ids, *, conditions=None, batch=64):
        bad = ~torch.isfinite(images.flatten(1)).all(1)
        if bool(bad.any()) and self.fault != "NaN":
            raise NonFiniteError(f"NaN in {[i for i, b in zip(ids, bad, strict=True) if b]}")
        residual = denoiser.denoise(images, torch.full((len(ids),), 0.1)) - images
        values = -residual.double().flatten(1).norm(dim=1)
        if self.fault == "higher":
            values = -values
        if self.fault == "differ":
            values = values + 1e-3 * torch.rand(len(ids))  # too little to turn the direction
        if self.fault == "other items":
            values = values - values.mean()
        if self.fault == "size of a batch":
            values = values + 0.01 * batch
        if self.fault == "hook":
            denoiser.network.softmax.register_forward_hook(lambda *_: None)
        evaluations = len(ids) if self.fault == "evaluations" else 0
        return Scores(values[:, None], evaluations=evaluations, seconds=0.0)


def test_the_quickest_keeps_the_contract():
    check_detector(IntrinsicDimension(sigma=0.1), pole=POLE)


def test_the_sound_twin_passes():
    check_detector(Broken(), pole=build_pole())


@pytest.mark.parametrize(
    "fault",
    ["source", "evaluations", "higher", "differ", "other items", "size of a batch", "hook", "NaN"],
)
def test_every_check_can_fail(fault):
    with pytest.raises(AssertionError, match=fault):
        check_detector(Broken(fault), pole=build_pole())


def test_a_detector_that_cannot_be_used_on_the_pole_is_told_so():
    from equipoise.detection import AttentionEntropy

    with pytest.raises(AssertionError, match="cross-attention"):
        check_detector(AttentionEntropy(sigma=14.6), pole=POLE)
