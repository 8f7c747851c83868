from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import BadInputError
from equipoise.theory import (
    build_relu_dae,
    empirical_loss,
    generalizing_weights,
    hybrid_weights,
    memorizing_weights,
)

DIM, RANK, SIGMA, DECAY = 24, 6, 0.3, 0.002


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def simplex(count, *, radius):
    """Rows of norm `radius` and pairwise cosine -1/(count - 1), in the first `count` axes."""
    corners = torch.eye(count, DIM, dtype=torch.float64)
    corners = corners - corners.mean(0)
    return radius * corners / corners.norm(dim=1, keepdim=True)


def uneven_samples():
    """Five samples of unlike norms, every two at an obtuse angle."""
    return simplex(5, radius=3.0) * torch.linspace(0.8, 1.2, 5, dtype=torch.float64)[:, None]


def build_clusters(*, spread=0.3, across=0.0):
    """Clusters of 40, 60 and 80; `across` is their spread in the space of the three means."""
    means = simplex(3, radius=6.0)
    scale = torch.full((DIM,), spread, dtype=torch.float64)
    scale[:3] = across
    return [means[k] + scale * draw(40 + 20 * k, DIM, seed=k) for k in range(3)]


def masked_loss(W1, W2, X, masks, sigma=SIGMA, weight_decay=DECAY):
    """Eq. 6 sample by sample with given masks; shares no line with `empirical_loss`."""
    total = weight_decay * (W1.pow(2).sum() + W2.pow(2).sum())
    for x, mask in zip(X, masks, strict=True):
        A = W2 @ torch.diag(mask) @ W1.T
        total = total + ((A @ x - x).pow(2).sum() + sigma**2 * A.pow(2).sum()) / len(X)
    return total


def own_blocks(clusters, rank):
    """The masks Theorem 3.1 assumes: every block is active on its cluster and nowhere else."""
    units = torch.eye(len(clusters), dtype=torch.float64).repeat_interleave(rank, dim=1)
    return units.repeat_interleave(torch.tensor([len(X_k) for X_k in clusters]), dim=0)


def participation(h):
    """(sum h^2)^2 / sum h^4: 1 for one-hot, the number of units for equal activations."""
    return h.pow(2).sum(1) ** 2 / h.pow(4).sum(1)


def gradient_norm(W, loss):
    W1, W2 = W.clone().requires_grad_(), W.clone().requires_grad_()
    gradients = torch.autograd.grad(loss(W1, W2), (W1, W2))
    return max(g.abs().max().item() for g in gradients)


def test_memorizing_weights_are_stationary():
    X = uneven_samples()
    weights = memorizing_weights(X, sigma=SIGMA, weight_decay=DECAY, num_units=8)
    assert (weights.active_share, weights.leaked_share) == (1.0, 0.0)
    assert torch.equal(weights.W[:, 5:], torch.zeros(DIM, 3, dtype=torch.float64))
    loss = partial(masked_loss, X=X, masks=torch.eye(5, 8, dtype=torch.float64))
    assert gradient_norm(weights.W, loss) < 1e-12
    assert gradient_norm(1.01 * weights.W, loss) > 1e-3


def test_memorizing_loss_by_monte_carlo_is_that_of_corollary_3_2():
    X = uneven_samples()
    dae = build_relu_dae(memorizing_weights(X, sigma=0.1, weight_decay=0.0, num_units=6).W)
    x0 = X.repeat(4000, 1)
    with torch.no_grad():
        errors = (dae(x0 + 0.1 * draw(*x0.shape, seed=1)) - x0).pow(2).sum(1)
    energy = X.pow(2).sum(1)
    predicted = (0.01 * energy / (0.01 + energy)).mean()
    standard_error = errors.std() / len(errors) ** 0.5
    assert predicted < 0.01
    assert abs(errors.mean() - predicted) < 4 * standard_error
    assert standard_error < 0.02 * predicted


def test_memorizing_is_one_block_of_rank_one_a_sample():
    X = simplex(4, radius=2.0)
    memorizing = memorizing_weights(X, sigma=SIGMA, weight_decay=DECAY, num_units=4)
    blocks = generalizing_weights(list(X.split(1)), sigma=SIGMA, weight_decay=DECAY, rank=1)
    torch.testing.assert_close(memorizing.W, blocks.W)


def test_generalizing_weights_are_stationary():
    clusters = build_clusters()
    weights = generalizing_weights(clusters, sigma=SIGMA, weight_decay=DECAY, rank=RANK)
    assert (weights.active_share, weights.leaked_share) == (1.0, 0.0)
    masks = own_blocks(clusters, RANK)
    loss = partial(masked_loss, X=torch.cat(clusters), masks=masks)
    assert gradient_norm(weights.W, loss) < 1e-12
    assert gradient_norm(1.01 * weights.W, loss) > 1e-3


def test_block_eigenvalues_are_the_shrinkage():
    clusters = build_clusters()
    W = generalizing_weights(clusters, sigma=SIGMA, weight_decay=DECAY, rank=RANK).W
    for X_k, W_k in zip(clusters, W.split(RANK, dim=1), strict=True):
        Lambda = torch.linalg.eigvalsh(X_k.T @ X_k)[-RANK:]
        m = (Lambda - 180 * DECAY) / (Lambda + len(X_k) * SIGMA**2)
        eigenvalues = torch.linalg.eigvalsh(W_k @ W_k.T)
        torch.testing.assert_close(eigenvalues[-RANK:], m)
        assert eigenvalues[:-RANK].abs().max() < 1e-12


def build_mixed(sizes, rank):
    """Clusters at the corners of a simplex; odd ones are duplicates, the others spread."""
    means = simplex(len(sizes), radius=5.0)
    clusters = []
    for k, (mean, size) in enumerate(zip(means, sizes, strict=True)):
        spread = torch.zeros((size, DIM), dtype=torch.float64)
        axes = slice(4 + rank * k, 4 + rank * (k + 1))
        spread[:, axes] = 0.5 * draw(size, rank, seed=k)
        clusters.append(mean + (k % 2 == 0) * spread)
    return clusters


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(6, 20), min_size=2, max_size=4),
    sigma=st.floats(0, 3),
    decay=st.floats(0, 0.9),
    spare=st.integers(0, 3),
)
def test_hybrid_weights_are_stationary_at_any_size_and_level(sizes, sigma, decay, spare):
    """Duplicates take one unit, the others a block, at any decay below the least eigenvalue."""
    clusters, rank = build_mixed(sizes, 3), 3
    ranks = [1 if k % 2 else rank for k in range(len(sizes))]
    kept = [torch.linalg.eigvalsh(X.T @ X)[-r] for X, r in zip(clusters, ranks, strict=True)]
    level = {"sigma": sigma, "weight_decay": decay * float(min(kept)) / sum(sizes)}
    weights = hybrid_weights(clusters, rank=rank, num_units=sum(ranks) + spare, **level)
    assert (weights.active_share, weights.leaked_share) == (1.0, 0.0)
    assert not weights.W[:, sum(ranks) :].any()
    masks = torch.zeros((sum(sizes), sum(ranks) + spare), dtype=torch.float64)
    masks[:, : sum(ranks)] = torch.block_diag(
        *(torch.ones((n, r), dtype=torch.float64) for n, r in zip(sizes, ranks, strict=True))
    )
    loss = partial(masked_loss, X=torch.cat(clusters), masks=masks, **level)
    assert gradient_norm(weights.W, loss) < 1e-10


def test_hybrid_weights_of_single_samples_are_the_memorizing_ones():
    X, level = uneven_samples(), {"sigma": SIGMA, "weight_decay": DECAY}
    hybrid = hybrid_weights(list(X.split(1)), rank=4, num_units=8, **level)
    torch.testing.assert_close(hybrid.W, memorizing_weights(X, num_units=8, **level).W)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_units": 1}, "fewer units than clusters"),
        ({"num_units": 3}, "too few units.*num_units=4 or more"),
        ({"rank": 25}, "at most 6 eigenpairs"),
        ({"rank": 0}, "rank=0"),
        ({"weight_decay": 50.0}, "weight_decay below"),
    ],
    ids=["units below clusters", "units below ranks", "rank too high", "rank zero", "decay"],
)
def test_hybrid_refuses(arguments, message):
    setting = {"sigma": SIGMA, "weight_decay": DECAY, "rank": 3, "num_units": 4} | arguments
    with pytest.raises(BadInputError, match=message):
        hybrid_weights(build_mixed([6, 6], 3), **setting)


def test_empirical_loss_is_the_sum_over_samples():
    X, W1, W2 = draw(9, DIM, seed=1), draw(DIM, 7, seed=2), draw(DIM, 7, seed=3)
    loss = empirical_loss(build_relu_dae(W1, W2), X, sigma=SIGMA, weight_decay=DECAY)
    torch.testing.assert_close(loss.detach(), masked_loss(W1, W2, X, (X @ W1 > 0).double()))


def test_no_small_step_lowers_the_loss_of_either_solution():
    clusters = build_clusters()
    X = torch.cat(clusters)
    few = simplex(5, radius=3.0)
    setting = {"sigma": SIGMA, "weight_decay": DECAY}
    solutions = [
        (few, memorizing_weights(few, **setting, num_units=8).W),
        (X, generalizing_weights(clusters, **setting, rank=RANK).W),
    ]
    with torch.no_grad():
        for samples, W in solutions:
            lowest = empirical_loss(build_relu_dae(W), samples, **setting)
            for seed in range(20):
                step1, step2 = 1e-3 * draw(2, *W.shape, seed=seed)
                moved = empirical_loss(build_relu_dae(W + step1, W + step2), samples, **setting)
                assert moved > lowest


def test_memorized_samples_are_spiky_and_generalized_ones_balanced():
    clusters = build_clusters(spread=1.0)
    X = torch.cat(clusters)
    few = simplex(5, radius=3.0)
    memorizing = memorizing_weights(few, sigma=0.1, weight_decay=0.0, num_units=8)
    generalizing = generalizing_weights(clusters, sigma=0.1, weight_decay=0.0, rank=RANK)
    noise = 0.1 * draw(len(X), DIM, seed=9)
    with torch.no_grad():
        spiky = build_relu_dae(memorizing.W).representation(few + noise[:5])
        balanced = build_relu_dae(generalizing.W).representation(X + noise)
    assert participation(spiky).max() < 1.5
    assert participation(balanced).mean() > 0.5 * RANK


def test_clusters_that_overlap_report_their_activity():
    clusters = build_clusters(spread=1.5, across=1.5)
    weights = generalizing_weights(clusters, sigma=SIGMA, weight_decay=DECAY, rank=RANK)
    dae = build_relu_dae(weights.W)
    with torch.no_grad():
        for other, X_l in enumerate(clusters):
            fired = (dae.representation(X_l) > 0).double().mean(0)
            torch.testing.assert_close(weights.activity[:, other], fired.reshape(3, RANK).mean(1))
    assert weights.active_share == min(weights.activity[k, k] for k in range(3)) < 1
    foreign = weights.activity[~torch.eye(3, dtype=torch.bool)]
    assert weights.leaked_share == foreign.max()
    assert weights.leaked_share > 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_units": 4}, "num_units=5 or more"),
        ({"weight_decay": 2.0}, "n \\* weight_decay below"),
        ({"sigma": -0.1}, "sigma=-0.1"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
    ],
    ids=["too few units", "too much decay", "negative sigma", "decay not a number"],
)
def test_memorizing_refuses(arguments, message):
    setting = {"sigma": SIGMA, "weight_decay": DECAY, "num_units": 5} | arguments
    with pytest.raises(BadInputError, match=message):
        memorizing_weights(simplex(5, radius=3.0), **setting)


@pytest.mark.parametrize(
    ("clusters", "arguments", "message"),
    [
        (build_clusters(), {"weight_decay": 1.0}, "eigenvalue of cluster 0"),
        (build_clusters(), {"rank": DIM + 1}, f"from 1 to {DIM}"),
        (build_clusters(), {"rank": 0}, f"from 1 to {DIM}"),
        ([simplex(3, radius=2.0)[:1].repeat(9, 1)], {"weight_decay": 0.0}, "cluster 0 is 0"),
        ([], {}, "One or more"),
        ([draw(9, 8, seed=0), draw(9, 7, seed=0)], {}, "same dim"),
        ([draw(50, DIM, seed=0)], {}, "units active on its own cluster"),
    ],
    ids=[
        "too much decay",
        "rank too high",
        "rank zero",
        "duplicates",
        "no cluster",
        "two dims",
        "no mean",
    ],
)
def test_generalizing_refuses(clusters, arguments, message):
    setting = {"sigma": SIGMA, "weight_decay": DECAY, "rank": RANK} | arguments
    with pytest.raises(BadInputError, match=message):
        generalizing_weights(clusters, **setting)


@pytest.mark.parametrize("size", [1e-12, 1e15])
def test_weights_of_samples_of_any_size_are_finite(size):
    """The fourth power of the norm would leave float32."""
    X = (size * simplex(4, radius=1.0)).float()
    W = memorizing_weights(X, sigma=0.0, weight_decay=0.0, num_units=4).W
    torch.testing.assert_close(W.norm(dim=0), torch.ones(4))
