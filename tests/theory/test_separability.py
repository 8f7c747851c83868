from itertools import combinations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import build_relu_dae, separability


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def draw_clusters():
    return [3 * draw(1, 5, seed=k) + 0.4 * draw(4 + k, 5, seed=9 + k) for k in range(3)]


def test_constants_are_those_of_a_loop():
    clusters = draw_clusters()
    means = [X_k.mean(0) for X_k in clusters]
    found = separability(clusters)
    alphas = [(x - m).norm() / m.norm() for X, m in zip(clusters, means, strict=True) for x in X]
    betas = [cosine_similarity(a, b, dim=0) for a, b in combinations(means, 2)]
    margins = []
    for k, X_k in enumerate(clusters):
        for x in X_k:
            for other, m in enumerate(means):
                height = float(x @ m / m.norm())
                margins.append(height if other == k else -height)
    assert found.alpha == pytest.approx(float(max(alphas)))
    assert found.beta == pytest.approx(float(max(betas)))
    assert found.margin == pytest.approx(min(margins))


def test_the_margin_is_the_least_noise_that_switches_a_unit():
    X = torch.eye(4, 6, dtype=torch.float64) + 0.1 * draw(4, 6, seed=3)
    X = X - X.mean(0)
    found = separability(X)
    assert found.holds
    assert found.beta < 0 < found.margin
    dae = build_relu_dae((X / X.norm(dim=1, keepdim=True)).T)
    heights = X @ dae.W1.detach()
    assert float(heights.abs().min()) == pytest.approx(found.margin)


def test_every_sample_is_a_cluster_of_its_own_by_default():
    X = draw(4, 6, seed=3)
    assert separability(X) == separability(list(X.split(1)))
    assert separability(X).alpha == 0


def test_a_rotation_changes_nothing_and_a_scale_only_the_margin():
    clusters = draw_clusters()
    Q, _ = torch.linalg.qr(draw(5, 5, seed=8))
    found, turned = separability(clusters), separability([2 * X_k @ Q for X_k in clusters])
    assert turned.alpha == pytest.approx(found.alpha)
    assert turned.beta == pytest.approx(found.beta)
    assert turned.margin == pytest.approx(2 * found.margin)


def test_one_cluster_has_no_pair():
    assert separability([draw(3, 5, seed=0) + 2]).beta == -1


@pytest.mark.parametrize(
    ("X", "error"),
    [
        ([], BadInputError),
        (draw(0, 5, seed=0), BadInputError),
        (torch.zeros(2, 5), BadInputError),
        (torch.full((2, 5), torch.nan), NonFiniteError),
    ],
    ids=["no cluster", "no sample", "zero", "not a number"],
)
def test_what_has_no_separability_is_refused(X, error):
    with pytest.raises(error):
        separability(X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cluster_centred_on_its_own_mean_has_no_direction(dtype):
    """What is left of the mean is rounding, and its direction would be noise."""
    X = torch.randn((40, 9), generator=torch.Generator().manual_seed(0), dtype=dtype)
    with pytest.raises(BadInputError, match="mean of cluster 0 is zero"):
        separability([X - X.mean(0)])
    near = X - X.mean(0) + 1e-4 * X[:1]
    assert separability([near]).alpha > 100
