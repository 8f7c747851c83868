import numpy as np
import pytest
import torch

from equipoise.errors import BadInputError
from equipoise.monitoring.probe import build_detector, build_probe, look


def test_equal_pictures_count_once_and_shared_ones_are_left_out(images):
    training = torch.cat([images[:40], images[:5], images[60:63]])
    held_out = torch.cat([images[60:100], images[99:100]])
    probe = build_probe(training, held_out, size=1000, seed=0)
    assert probe.indices.tolist() == list(range(40))
    assert probe.is_training.sum() == 40
    assert torch.equal(probe.pictures, torch.cat([images[:40], images[63:100]]))


def test_a_small_probe_is_drawn_by_the_seed_alone(images):
    probes = [build_probe(images[:60], images[60:], size=25, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(probes[0].indices, probes[1].indices)
    assert not np.array_equal(probes[0].indices, probes[2].indices)
    assert len(set(probes[0].indices.tolist())) == 25


def test_too_few_images_are_refused(images):
    with pytest.raises(BadInputError, match="10 training images against 60"):
        build_probe(images[:10], images[60:], size=100, seed=0)


def test_both_signals_are_those_of_a_slow_twin(images, build_toy):
    from equipoise.images import as_unit, content_ids
    from equipoise.representation import observe
    from equipoise.sampling import draw_noise_batch

    denoiser = build_toy()
    denoiser.network.eval()
    torch.nn.init.ones_(denoiser.network.dial)
    detector = build_detector(denoiser)
    probe = build_probe(images[:30], images[60:], size=30, seed=0)
    seen = look(probe, denoiser, detector)
    spikiness, residual = np.zeros(90), np.zeros(90)
    x0 = denoiser.encode(as_unit(probe.pictures))
    for draw in range(detector.draws):
        eps = draw_noise_batch(
            (1, 4, 4), seed=0, item_ids=content_ids(probe.pictures), draws=[draw] * 90
        )
        level = torch.full((90,), detector.sigma)
        x = x0 + detector.sigma * eps
        h = observe(denoiser, x, level, ("hidden:out",))["hidden:out"].tensor.numpy()
        error = (denoiser.denoise(x, level) - x0).detach().numpy()
        spikiness += h.std(axis=1) / detector.draws
        residual -= np.log((error**2).mean(axis=(1, 2, 3))) / detector.draws
    np.testing.assert_allclose(seen.spikiness, spikiness, rtol=1e-4)
    np.testing.assert_allclose(seen.residual, residual, rtol=1e-3)
    assert seen.spikiness[:30].min() > np.median(seen.spikiness[30:])
