from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from equipoise.denoisers import GaussianDenoiser
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import (
    DaeStack,
    GaussianMixture,
    ReluDaeDenoiser,
    build_relu_dae,
    empirical_denoiser,
    measure_jacobian,
)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def small_dae():
    return build_relu_dae(draw(12, 7, seed=0), draw(12, 7, seed=1))


def test_relu_dae_has_the_jacobian_of_its_active_units():
    dae, x = small_dae(), draw(12, seed=2)
    active = torch.diag((x @ dae.W1 > 0).double())
    _, values, Vt = torch.linalg.svd((dae.W2 @ active @ dae.W1.T).detach())
    found = measure_jacobian(ReluDaeDenoiser(dae, (12,), 1.0), x, sigma=0.3, count=5)
    torch.testing.assert_close(found.singular_values, values[:5])
    assert abs(float(found.top_vector @ Vt[0])) == pytest.approx(1.0)
    assert found.cosine == pytest.approx(abs(float(Vt[0] @ x / x.norm())))
    assert float(found.top_vector @ x) > 0


def test_the_rank_is_that_of_the_values():
    dae = build_relu_dae(torch.eye(6, dtype=torch.float64) * torch.tensor([3, 2, 1, 1, 1, 1.0]))
    found = measure_jacobian(
        ReluDaeDenoiser(dae, (6,), 1.0), torch.ones(6, dtype=torch.float64), sigma=1.0, count=2
    )
    torch.testing.assert_close(found.singular_values, torch.tensor([9.0, 4.0]).double())
    assert found.effective_rank == pytest.approx(97**2 / (81**2 + 16**2))


@pytest.mark.slow
def test_a_convolutional_model_has_the_spectrum_of_its_dense_jacobian(tiny_edm):
    x, level = draw(1, 16, 16, seed=3).float(), torch.tensor([0.4])

    def denoise(point):
        return tiny_edm.denoise(point.reshape(1, 1, 16, 16), level).flatten()

    J = torch.autograd.functional.jacobian(denoise, x.flatten())
    found = measure_jacobian(
        tiny_edm, x, sigma=0.4, count=6, reference=draw(1, 16, 16, seed=4).float()
    )
    expected = torch.linalg.svdvals(J.double())[:6]
    torch.testing.assert_close(found.singular_values, expected, rtol=1e-4, atol=0)
    assert found.top_vector.shape == (1, 16, 16)


def build_stack():
    daes = tuple(build_relu_dae(draw(6, 5, seed=s), draw(6, 5, seed=s + 2)) for s in (0, 1))
    return DaeStack((2.0, 0.4), daes, 1.0)


def build_mixture():
    roots = draw(2, 6, 6, seed=1)
    weights = torch.tensor([0.4, 0.6], dtype=torch.float64)
    return GaussianMixture(weights, draw(2, 6, seed=2), roots @ roots.transpose(1, 2))


@pytest.mark.parametrize(
    "build",
    [lambda: empirical_denoiser(draw(9, 6, seed=0)), build_mixture, build_stack,
     lambda: GaussianDenoiser(draw(6, seed=3), torch.cov(draw(6, 9, seed=4)))],
    ids=["empirical", "mixture", "stack", "Gaussian"],
)  # fmt: skip
def test_other_denoisers_have_the_spectrum_of_their_dense_jacobian(build):
    denoiser, x, level = build(), draw(6, seed=5), torch.tensor([0.4]).double()
    J = torch.autograd.functional.jacobian(lambda p: denoiser.denoise(p[None], level)[0], x)
    found = measure_jacobian(denoiser, x, sigma=0.4, count=3)
    torch.testing.assert_close(found.singular_values, torch.linalg.svdvals(J)[:3])


@dataclass(frozen=True)
class Broken:
    """A denoiser whose slope is NaN."""

    sample_shape: tuple[int, ...] = (4,)
    image_shape: tuple[int, ...] = (4,)
    data_std: float = 1.0
    default_sites: tuple[str, ...] = ()
    network: nn.Module = field(default_factory=nn.Identity)

    def denoise(self, x, sigma, cond=None):
        return x * float("nan")

    def null_condition(self, batch):
        return None

    def snap(self, sigma):
        return sigma

    def encode(self, images):
        return images

    def decode(self, x0):
        return x0


def test_a_slope_that_is_not_a_number_is_an_error():
    with pytest.raises(NonFiniteError, match="Jacobian holds NaN"):
        measure_jacobian(Broken(), torch.ones(4), sigma=1.0, count=1)


def test_where_no_unit_is_active_there_is_nothing_to_measure():
    w = draw(12, 1, seed=0)
    denoiser = ReluDaeDenoiser(build_relu_dae(w), (12,), 1.0)
    with pytest.raises(BadInputError, match="it is zero"):
        measure_jacobian(denoiser, -w[:, 0], sigma=0.3, count=2)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": draw(1, 12, seed=0)}, BadInputError, "without batch axis"),
        ({"reference": draw(11, seed=0)}, BadInputError, "reference of shape"),
        ({"reference": torch.zeros(12).double()}, BadInputError, "no direction"),
        ({"reference": torch.full((12,), torch.nan).double()}, NonFiniteError, "in reference"),
        ({"sigma": -1.0}, BadInputError, "sigma=-1"),
        ({"sigma": torch.nan}, BadInputError, "sigma=nan"),
        ({"count": 0}, BadInputError, "below the number of values"),
        ({"count": 12}, BadInputError, "below the number of values"),
        ({"x": torch.full((12,), torch.nan).double()}, NonFiniteError, "finite sample"),
    ],
)
def test_wrong_input_is_refused(changed, error, message):
    given = {"x": draw(12, seed=2), "sigma": 0.3, "count": 3} | changed
    with pytest.raises(error, match=message):
        measure_jacobian(ReluDaeDenoiser(small_dae(), (12,), 1.0), given.pop("x"), **given)
