import pytest
import torch

from equipoise.denoisers.protocol import Denoiser, fingerprint
from equipoise.errors import BadInputError
from equipoise.theory import ReluDae, ReluDaeDenoiser, build_relu_dae


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def small_dae():
    return build_relu_dae(draw(12, 7, seed=0), draw(12, 7, seed=1))


def test_forward_is_equation_5():
    dae, x = small_dae(), draw(3, 12, seed=2)
    W1, W2 = draw(12, 7, seed=0), draw(12, 7, seed=1)
    for row, x0_hat in zip(x, dae(x), strict=True):
        expected = sum(max(float(W1[:, j] @ row), 0.0) * W2[:, j] for j in range(7))
        torch.testing.assert_close(x0_hat, expected)


def test_it_has_no_biases():
    assert [name for name, _ in ReluDae(4, 3).named_parameters()] == [
        "encoder.weight",
        "decoder.weight",
    ]


def test_the_decoder_receives_the_representation():
    dae, x, seen = small_dae(), draw(3, 12, seed=2), []
    hook = dae.get_submodule("decoder").register_forward_pre_hook(
        lambda _, args: seen.append(args)
    )
    dae(x)
    hook.remove()
    ((h,),) = seen
    torch.testing.assert_close(h, (x @ draw(12, 7, seed=0)).clamp_min(0))
    assert torch.equal(h, dae.representation(x))


def test_built_weights_are_copies_and_tied_by_default():
    W = draw(5, 4, seed=3)
    kept = W.clone()
    dae = build_relu_dae(W)
    W.zero_()
    assert torch.equal(dae.W1, kept)
    assert torch.equal(dae.W2, kept)
    assert dae.W1.dtype == torch.float64


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)], ids=["vector", "image"])
def test_the_denoiser_flattens_and_restores(shape):
    dae = small_dae()
    denoiser = ReluDaeDenoiser(dae, shape, 0.5)
    assert isinstance(denoiser, Denoiser)
    assert denoiser.default_sites == ("decoder:in",)
    assert denoiser.null_condition(4) is None
    x = draw(4, *shape, seed=4)
    x0_hat = denoiser.denoise(x, torch.full((4,), 0.1, dtype=torch.float64))
    assert x0_hat.shape == x.shape
    torch.testing.assert_close(x0_hat.reshape(4, 12), dae(x.reshape(4, 12)))
    assert torch.equal(denoiser.decode(denoiser.encode(x)), x)
    assert len(fingerprint(denoiser)) == 16


def test_the_denoiser_ignores_sigma_and_keeps_the_input_type():
    denoiser = ReluDaeDenoiser(small_dae(), (12,), 0.5)
    x = draw(2, 12, seed=5).float()
    low, high = (denoiser.denoise(x, torch.full((2,), sigma)) for sigma in (0.01, 5.0))
    assert torch.equal(low, high)
    assert low.dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "data_std", "message"),
    [((3, 2), 0.5, r"6 values, for a network of 12"), ((12,), 0.0, "must be positive")],
    ids=["wrong shape", "zero std"],
)
def test_a_denoiser_that_cannot_work_is_refused(shape, data_std, message):
    with pytest.raises(BadInputError, match=message):
        ReluDaeDenoiser(small_dae(), shape, data_std)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3)], ids=["other units", "transposed"])
def test_both_weights_are_of_one_shape(shape):
    with pytest.raises(BadInputError, match="of one shape"):
        build_relu_dae(draw(3, 4, seed=0), draw(*shape, seed=0))
