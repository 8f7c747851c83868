import pytest
import torch

from equipoise.denoisers import Denoiser
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import (
    DaeStack,
    build_relu_dae,
    empirical_denoiser,
    measure_nearest,
    sample_ddim,
    space_sigmas,
)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def build_stack():
    return DaeStack((2.0, 0.5), tuple(build_relu_dae(draw(4, 3, seed=s)) for s in (0, 1)), 1.0)


def test_levels_are_even_in_their_logarithm():
    sigmas = space_sigmas(8.0, 1.0, count=4)
    assert sigmas == pytest.approx((8.0, 4.0, 2.0, 1.0))


def test_each_sample_is_denoised_at_its_own_level():
    stack, x = build_stack(), draw(3, 4, seed=2)
    assert isinstance(stack, Denoiser)
    with torch.no_grad():
        found = stack.denoise(x, torch.tensor([0.5, 2.0, 0.5]).double())
        expected = [stack.daes[i](row[None])[0] for i, row in zip((1, 0, 1), x, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_level_that_the_stack_does_not_have_is_refused():
    stack = build_stack()
    assert stack.snap(0.9) == 0.5
    for level in (0.9, torch.nan):
        with pytest.raises(BadInputError, match=f"no network for sigma={level}"):
            stack.denoise(draw(1, 4, seed=0), torch.tensor([level]).double())


@pytest.mark.parametrize(
    ("sigmas", "count"), [((0.5, 2.0), 2), ((2.0, 0.0), 2), ((2.0, 1.0), 1), ((), 0)]
)
def test_levels_and_networks_must_fit(sigmas, count):
    daes = tuple(build_relu_dae(draw(4, 3, seed=s)) for s in range(count))
    with pytest.raises(BadInputError, match="levels that descend"):
        DaeStack(sigmas, daes, 1.0)


@pytest.mark.parametrize(
    ("high", "low", "count"),
    [(1.0, 2.0, 5), (1.0, 0.0, 5), (2.0, 1.0, 1), (torch.inf, 1.0, 5)],
)
def test_levels_out_of_order_are_refused(high, low, count):
    with pytest.raises(BadInputError, match="noise levels"):
        space_sigmas(high, low, count=count)


def test_steps_are_the_closed_form_for_one_training_sample():
    """With one sample the denoiser is constant: `x - x_1` shrinks as sigma does, then vanishes."""
    X, noise, sigmas = draw(1, 4, seed=0), draw(3, 4, seed=1), (4.0, 2.0, 0.5)
    seen = list(sample_ddim(empirical_denoiser(X), noise, sigmas))
    assert len(seen) == 3
    for x, sigma in zip(seen, (2.0, 0.5, 0.0), strict=True):
        torch.testing.assert_close(x, X + sigma / 4.0 * (4.0 * noise - X))


@pytest.mark.parametrize("sigmas", [(), (1.0, 2.0), (1.0, 0.0), (torch.nan,), (torch.inf, 1.0)])
def test_sampling_needs_levels_that_descend(sigmas):
    with pytest.raises(BadInputError, match="noise levels"):
        next(sample_ddim(build_stack(), draw(1, 4, seed=0), sigmas))


def test_gradients_are_left_alone_between_steps():
    steps = sample_ddim(empirical_denoiser(draw(2, 4, seed=0)), draw(1, 4, seed=1), (1.0, 0.5))
    next(steps)
    assert torch.is_grad_enabled()


def test_nearest_by_angle():
    training = torch.tensor([[2.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    samples = torch.tensor([[1.0, 1.0], [0.0, 0.1], [-1.0, -1.0]], dtype=torch.float64)
    found = measure_nearest(samples, training)
    assert found.index.tolist()[1] == 1
    torch.testing.assert_close(found.sine, torch.tensor([0.5**0.5, 0.0, 1.0]).double())
    assert float(found.distance[1]) == pytest.approx(0.98)


@pytest.mark.parametrize(
    ("samples", "training", "error"),
    [
        (torch.zeros(1, 2), torch.ones(1, 2), BadInputError),
        (torch.ones(1, 2), torch.zeros(1, 2), BadInputError),
        (torch.ones(0, 2), torch.ones(1, 2), BadInputError),
        (torch.full((1, 2), torch.nan), torch.ones(1, 2), NonFiniteError),
        (torch.ones(1, 2), torch.ones(1, 3), BadInputError),
        (torch.ones(1, 2), torch.ones(1, 2).double(), BadInputError),
    ],
)
def test_what_has_no_angle_is_refused(samples, training, error):
    with pytest.raises(error):
        measure_nearest(samples, training)
