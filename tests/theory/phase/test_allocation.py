from itertools import combinations
from math import isfinite

import numpy as np
import pytest
import torch

from equipoise.theory import build_relu_dae, empirical_loss, memorizing_weights
from equipoise.theory.phase import allocation
from equipoise.theory.phase.allocation import (
    find_copy_share,
    find_half_stored,
    find_last,
    list_gains,
    measure_gain,
)
from equipoise.theory.phase.cell import DECAY, SIGMA, predict_stored
from equipoise.theory.phase.world import (
    DUPLICATED,
    MODES,
    NORM,
    SPREAD,
    SPREAD_DIM,
    build_mixture,
    draw_duplicated,
    draw_plain,
)


@pytest.fixture(scope="module")
def mixture():
    return build_mixture()


def test_a_gain_is_what_the_loss_of_the_closed_form_saves():
    generator = torch.Generator().manual_seed(0)
    X = torch.eye(4, 7, dtype=torch.float64) - 0.25 * torch.eye(4, 7).sum(0)
    X = X * (1 + torch.rand((4, 1), generator=generator, dtype=torch.float64))
    level = {"sigma": 0.3, "weight_decay": 0.05}
    W = memorizing_weights(X, num_units=4, **level).W
    gains = {k: gain for gain, k in list_gains(X.split(1), **level)}
    for kept in [pair for size in range(5) for pair in combinations(range(4), size)]:
        left = W.clone()
        left[:, [k for k in range(4) if k not in kept]] = 0
        loss = float(empirical_loss(build_relu_dae(left), X, **level).detach())
        saved = sum(gains[k] for k in kept)
        assert loss == pytest.approx(float(X.square().sum() - saved) / 4, rel=1e-9)


def test_a_gain_is_the_best_over_all_shrinkages():
    m = np.linspace(0, 1, 100_001)
    cost = 3.0 * (1 - m) ** 2 + 5 * 0.2**2 * m**2 + 2 * 0.4 * m
    found = measure_gain(3.0, 5, sigma=0.2, threshold=0.4)
    assert found == pytest.approx(3.0 - cost.min(), abs=1e-8)
    assert measure_gain(0.3, 5, sigma=0.2, threshold=0.4) == 0


def test_copies_have_one_gain_and_it_grows_with_their_number(mixture):
    found = []
    for copies in (1, 3, 9):
        training = draw_duplicated(mixture, 200, copies, seed=0)
        gains = list_gains(training.clusters, sigma=SIGMA, weight_decay=DECAY)
        own = [gain for gain, k in gains if k == 0]
        assert len(own) == min(1, len(own))
        found.append(sum(own))
    assert found[0] < found[1] < found[2]


@pytest.mark.slow
@pytest.mark.parametrize("images", [3, 5, 8])
def test_on_the_boundary_of_units_half_of_the_drawn_samples_get_a_unit(mixture, images):
    """The curve (A) against the allocation of many drawn sets."""
    at = find_half_stored(images)
    low, high = int(np.floor(at)), int(np.floor(at)) + 1
    sets = [draw_plain(mixture, images, seed=seed) for seed in range(30)]
    shares = [np.mean([predict_stored(s, units) for s in sets]) for units in (low, high)]
    weight = at - low
    assert (1 - weight) * shares[0] + weight * shares[1] == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_beyond_the_last_number_of_images_no_number_of_units_stores_half(mixture):
    last = find_last()
    assert not isfinite(find_half_stored(last + 0.01))
    assert isfinite(find_half_stored(last - 0.01))
    for images, above in ((round(last) - 3, True), (round(last) + 3, False)):
        sets = [draw_plain(mixture, images, seed=seed) for seed in range(30)]
        assert (np.mean([predict_stored(s, 500) for s in sets]) > 0.5) == above


def test_the_share_of_copies_solves_its_quadratic():
    """(B) squared is a quadratic in r; its larger root has the positive side."""
    r = find_copy_share(sigma=SIGMA, weight_decay=DECAY)
    e, modes = NORM**2 + SPREAD_DIM * SPREAD**2, MODES - DUPLICATED
    # The gain of a direction of spread depends on r through n lambda only: fix it at the answer.
    g = (SPREAD**2 / modes - (1 + DUPLICATED * r) * DECAY) ** 2 / ((SPREAD**2 + SIGMA**2) / modes)
    a = e - DUPLICATED * DECAY
    roots = np.roots([a**2, -2 * a * DECAY - g * (e + SIGMA**2), DECAY**2])
    assert roots.max() == pytest.approx(r, rel=1e-6)


def test_without_weight_decay_the_share_is_a_ratio_of_energies():
    """g = r e^2 / (e + sigma^2) on one side, s^4 / (s^2 + sigma^2) / (K - M) on the other."""
    e = NORM**2 + SPREAD_DIM * SPREAD**2
    spread = SPREAD**4 / (SPREAD**2 + 0.3**2) / (MODES - DUPLICATED)
    assert find_copy_share(sigma=0.3, weight_decay=0.0) == pytest.approx(
        spread * (e + 0.3**2) / e**2, rel=1e-9
    )


def share_at(mixture, r, images=3000):
    sets = [draw_duplicated(mixture, images, round(r * images), seed=s) for s in range(3)]
    return np.mean([predict_stored(s, 24) for s in sets])


@pytest.mark.slow
def test_across_the_boundary_of_copies_duplicates_win_their_units(mixture, monkeypatch):
    """The line (B) against the allocation of drawn sets; one for another spread is not theirs."""
    right = find_copy_share(sigma=SIGMA, weight_decay=DECAY)
    assert share_at(mixture, 0.5 * right) == 0
    assert share_at(mixture, 2 * right) == 1
    monkeypatch.setattr(allocation, "SPREAD", 2 * SPREAD)
    wrong = find_copy_share(sigma=SIGMA, weight_decay=DECAY)
    assert share_at(mixture, 0.9 * wrong) == 1  # far above the true line
