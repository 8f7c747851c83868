import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.sampling import (
    build_sigmas,
    draw_noise_batch,
    sample_heun,
    sample_items,
    sample_multistep,
)


@pytest.fixture
def gaussian():
    eigenvalues = torch.tensor([4.0, 1.0, 0.25, 0.01], dtype=torch.float64)
    return GaussianDenoiser(torch.zeros(4, dtype=torch.float64), torch.diag(eigenvalues))


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_items_do_not_depend_on_the_batch_size(tiny_edm, batch):
    items = [f"item {i}" for i in range(5)]
    sigmas = build_sigmas(3, sigma_min=0.05, sigma_max=2.0, rho=7.0)
    batches = list(sample_items(tiny_edm, items, sigmas, seed=3, batch=batch))
    assert [len(b) for b in batches] == [min(batch, 5 - s) for s in range(0, 5, batch)]
    z = draw_noise_batch((1, 16, 16), seed=3, item_ids=items, draws=[0] * 5)
    *_, last = sample_heun(tiny_edm, z, sigmas)
    torch.testing.assert_close(torch.cat(batches), last.x, rtol=1e-4, atol=1e-4)


def test_items_do_not_depend_on_order_and_the_seed_changes_them(gaussian):
    items = [f"item {i}" for i in range(6)]
    sigmas = build_sigmas(5, sigma_min=0.05, sigma_max=2.0, rho=7.0)

    def sample(ids, seed):
        return torch.cat(list(sample_items(gaussian, ids, sigmas, seed=seed, batch=4)))

    found = sample(items, 0)
    torch.testing.assert_close(sample(items[::-1], 0).flip(0), found, rtol=1e-5, atol=1e-5)
    assert (sample(items, 1) - found).abs().amin(1).max() > 0.01
    assert list(sample_items(gaussian, [], sigmas, seed=0, batch=4)) == []


def test_every_item_is_asked_by_its_own_condition(gaussian, monkeypatch):
    """A denoiser that answers with its condition gives every item its own."""
    monkeypatch.setattr(
        GaussianDenoiser, "denoise", lambda _, x, sigma, cond: cond[:, None].expand(x.shape)
    )
    sigmas = build_sigmas(3, sigma_min=0.05, sigma_max=2.0, rho=7.0)
    items, asked = [str(i) for i in range(5)], torch.arange(5.0, dtype=torch.float64)
    found = sample_items(gaussian, items, sigmas, seed=0, batch=2, conditions=asked)
    assert torch.cat(list(found))[:, 0].tolist() == pytest.approx([0, 1, 2, 3, 4])


def test_the_solver_is_the_one_asked_for(gaussian):
    items, sigmas = ["a", "b"], build_sigmas(4, sigma_min=0.05, sigma_max=2.0, rho=7.0)
    z = draw_noise_batch((4,), seed=1, item_ids=items, draws=[0, 0])
    for solver in (sample_heun, sample_multistep):
        *_, last = solver(gaussian, z, sigmas)
        [drawn] = sample_items(gaussian, items, sigmas, seed=1, batch=2, solver=solver)
        assert torch.equal(drawn, last.x)
