"""What a card needs decides where a detector can be used."""

import pytest

from equipoise.detection import AttentionEntropy, Detector, NoiseGap, Spikiness, find_obstacle
from equipoise.detection.pole import build_pole

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
