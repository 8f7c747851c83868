import pytest
import torch

from equipoise.theory.claims.example import (
    build_mixture,
    build_samples,
    build_simplex,
    count_effective,
    draw_normal,
    measure_gradient,
)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_corners_of_a_simplex_are_equally_far_apart(count):
    corners = build_simplex(count, 9, radius=2.0)
    gram = corners @ corners.T / 4
    expected = torch.full((count, count), -1 / (count - 1), dtype=torch.float64)
    torch.testing.assert_close(gram, expected.fill_diagonal_(1.0))


def test_samples_have_unlike_norms():
    norms = build_samples(5, 8).norm(dim=1)
    torch.testing.assert_close(norms, 4 * torch.linspace(0.9, 1.1, 5, dtype=torch.float64))


def test_modes_spread_in_directions_of_their_own():
    mixture = build_mixture(3, 15, spread=0.5, directions=4)
    for k, covariance in enumerate(mixture.covariances):
        assert int(torch.linalg.matrix_rank(covariance)) == 4
        assert (covariance @ mixture.means.T).abs().max() == 0
        for other in mixture.covariances[k + 1 :]:
            assert (covariance @ other).abs().max() == 0


def test_effective_units_are_one_for_one_hot_and_all_for_equal():
    h = torch.tensor([[0.0, 3.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    torch.testing.assert_close(count_effective(h), torch.tensor([1.0, 4.0]))


def test_gradient_is_relative_to_that_of_half_the_weights():
    W, target = draw_normal(4, 3, seed=0), draw_normal(4, 3, seed=1)

    def loss(dae):
        return (dae.W1 - target).square().sum() + dae.W2.sum() * 0

    expected = (W - target).norm() / (W / 2 - target).norm()
    assert measure_gradient(W, loss) == pytest.approx(float(expected))
