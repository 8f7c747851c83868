import pytest
import torch

from equipoise.bench.instrument import NUM_FITTED, build_instrument
from equipoise.zoo.package import load_zoo


@pytest.mark.slow
def test_the_instrument_is_right_on_most_pictures_that_it_was_not_fitted_on():
    model = load_zoo("edm-fashion")
    instrument = build_instrument(model)
    assert instrument.accuracy["n"] == 1000
    assert instrument.accuracy["low"] > 0.75
    pictures = model.training_set.images[NUM_FITTED : NUM_FITTED + 200]
    chances = instrument.score(pictures)
    torch.testing.assert_close(torch.from_numpy(chances.sum(axis=1)), torch.ones(200).double())
    right = chances.argmax(axis=1) == model.training_set.classes[NUM_FITTED:][:200].numpy()
    assert right.mean() > 0.7
    noise = instrument.judge_noise()
    assert sum(noise.values()) == pytest.approx(1)
    assert len(noise) == 10
