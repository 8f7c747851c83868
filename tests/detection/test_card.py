"""What a card needs decides where a detector can be used."""

import pytest
import torch

from equipoise.denoisers import build_stable_diffusion
from equipoise.detection import (
    Anisotropy,
    AttentionEntropy,
    Detector,
    IntrinsicDimension,
    NoiseGap,
    OneStepConfidence,
    Sharpness,
    Spikiness,
    TiledDistance,
    build_default,
    find_obstacle,
)
from equipoise.detection.card import require_conditions
from equipoise.detection.pole import build_pole
from equipoise.errors import BadInputError
from equipoise.sampling import SamplerSpec

SPIKINESS = Spikiness(sites=("softmax:out",), sigma=0.1)


def test_an_obstacle_names_what_is_missing(tiny_edm):
    conditional = build_pole().denoiser
    gap, entropy = NoiseGap(sigma=1.0).card, AttentionEntropy(sigma=1.0).card
    assert find_obstacle(SPIKINESS.card, tiny_edm) is None
    assert find_obstacle(gap, conditional) is None
    assert "takes none" in str(find_obstacle(gap, tiny_edm))
    assert "cross-attention" in str(find_obstacle(entropy, conditional))


def test_the_card_counts_draws():
    assert SPIKINESS.card.evaluations == 4
    assert NoiseGap(sigma=1.0, draws=3, steps=5).card.evaluations == 30


@pytest.mark.parametrize("detector", [SPIKINESS, NoiseGap(sigma=1.0)])
def test_a_detector_is_known_by_its_two_names(detector):
    assert isinstance(detector, Detector)
    assert not isinstance(object(), Detector)


@pytest.mark.slow
def test_a_text_to_image_model_takes_every_detector(pipeline):
    """Random weights in Stable Diffusion's format: nothing to find, but every road is open."""
    model = build_stable_diffusion(pipeline)
    images = torch.rand(3, *model.image_shape, generator=torch.Generator().manual_seed(0))
    prompts = model.encode_prompts(["a red fox", "two boats", "a red fox"])
    ids, top = ["a", "b", "c"], model.snap(80.0)
    for detector in (
        build_default(model),
        IntrinsicDimension(sigma=model.snap(0.2), draws=1),
        NoiseGap(sigma=top, draws=1),
        NoiseGap(sigma=top, steps=3, draws=1),
        Sharpness(sigma=top),
        AttentionEntropy(sigma=top, layer=1, draws=1),
        Anisotropy(sigma=top, sigma_low=model.snap(0.1), draws=1),
        OneStepConfidence(sigma=top, draws=1),
        TiledDistance(sampler=SamplerSpec(steps=3, sigma_max=14.0), draws=2),
    ):
        assert find_obstacle(detector.card, model) is None
        whole = detector.score(model, images, ids, conditions=prompts)
        assert whole.evaluations == 3 * detector.card.evaluations
        assert bool(torch.isfinite(whole.per_draw).all())
        alone = detector.score(model, images[1:2], ids[1:2], conditions=prompts[1:2])
        torch.testing.assert_close(alone.values, whole.values[1:2], rtol=1e-4, atol=1e-6)


def test_conditions_that_the_model_does_not_take_are_refused(smooth):
    with pytest.raises(BadInputError, match=r"does not take.*\(4,\)"):
        require_conditions(NoiseGap(sigma=1.0).card, smooth, torch.zeros(4, 3), 4)
