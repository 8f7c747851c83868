import pytest
import torch

from equipoise.theory import separability
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


def test_the_theorem_holds_however_wide_the_modes_are(mixture):
    training = draw_plain(mixture, 300, seed=0)
    assert separability(mixture.means).beta == pytest.approx(-1 / (MODES - 1), abs=1e-5)
    directions = mixture.means / NORM
    for k, X_k in enumerate(training.clusters):
        heights = X_k @ directions.T
        assert float(heights[:, k].min()) > 0
        heights[:, k] = -1
        assert float(heights.max()) < 0


def test_second_moments_have_the_eigenvalues_that_the_boundary_is_computed_with(mixture):
    eigenvalues = torch.linalg.eigvalsh(mixture.second_moments[3]).flip(0)[: 1 + SPREAD_DIM]
    expected = torch.tensor([NORM**2, *[SPREAD**2] * SPREAD_DIM])
    assert torch.allclose(eigenvalues, expected, atol=1e-4)


def test_a_sample_is_alone_where_no_other_shares_its_mode(mixture):
    training = draw_plain(mixture, 9, seed=1)
    assert len(training.stored) == len(training.alone) == len(training.X) == 9
    nearest = (training.stored @ mixture.means.T).argmax(1)
    counts = nearest.bincount(minlength=MODES)
    assert [k >= 0 for k in training.alone] == (counts[nearest] == 1).tolist()
    for x, k in zip(training.stored, training.alone, strict=True):
        if k >= 0:
            assert torch.equal(training.clusters[k], x[None])


def test_duplicates_are_given_as_often_as_asked_and_the_others_lie_in_other_modes(mixture):
    training = draw_duplicated(mixture, 50, 7, seed=2)
    assert len(training.X) == 50 + 7 * DUPLICATED
    for x, k in zip(training.stored, training.alone, strict=True):
        assert torch.equal(training.clusters[k], x.expand(7, -1))
    others = torch.cat(training.clusters[DUPLICATED:])
    for samples in (others, training.fresh):
        assert int((samples @ mixture.means.T).argmax(1).min()) >= DUPLICATED


def test_a_seed_gives_the_same_set_again(mixture):
    first, again = (draw_plain(mixture, 20, seed=4) for _ in range(2))
    assert torch.equal(first.X, again.X)
    assert torch.equal(first.fresh, again.fresh)
    assert not torch.equal(first.X, draw_plain(mixture, 20, seed=5).X)
