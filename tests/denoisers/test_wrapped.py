import jaxtyping
import pytest
import torch
from torch import nn

from equipoise.denoisers import GaussianDenoiser, fingerprint, wrap
from equipoise.errors import BadInputError, NonFiniteError

SIGMA = torch.tensor([0.01, 0.3, 1.0, 7.0], dtype=torch.float64)


class Exact(nn.Module):
    """A network that predicts exactly what a Gaussian's posterior mean implies."""

    def __init__(self, gaussian, prediction):
        super().__init__()
        self.gaussian, self.prediction = gaussian, prediction

    def forward(self, x, sigma):
        s = sigma.reshape(-1, 1)
        alpha = 1 / (1 + s**2).sqrt()
        noisy = x / alpha if self.prediction == "v" else x
        x0 = self.gaussian.denoise(noisy, sigma)
        eps = (noisy - x0) / s
        return {"x0": x0, "eps": eps, "v": alpha * eps - s * alpha * x0}[self.prediction]


@pytest.fixture(scope="module")
def gaussian():
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    return GaussianDenoiser(torch.randn(5, generator=generator).double(), factor @ factor.T)


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_every_prediction_gives_the_same_denoiser(gaussian, prediction):
    module = Exact(gaussian, prediction)
    wrapped = wrap(module, sample_shape=(5,), data_std=1.0, prediction=prediction)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        wrapped.denoise(x, SIGMA), gaussian.denoise(x, SIGMA), rtol=1e-9, atol=1e-9
    )


def test_a_prediction_taken_for_another_gives_another_denoiser(gaussian):
    x = torch.ones(4, 5, dtype=torch.float64)
    for prediction, other in [("x0", "eps"), ("eps", "v"), ("v", "x0")]:
        module = Exact(gaussian, prediction)
        wrong = wrap(module, sample_shape=(5,), data_std=1.0, prediction=other)
        assert not torch.allclose(wrong.denoise(x, SIGMA), gaussian.denoise(x, SIGMA), atol=0.1)


def test_a_module_is_called_as_the_user_says():
    seen = []

    def call(module, x, sigma):
        seen.append(sigma)
        return module(x)

    linear = nn.Linear(3, 3)
    wrapped = wrap(linear, sample_shape=(3,), data_std=2.0, call=call, sites=("a:in",))
    x = torch.randn(2, 3)
    assert torch.equal(wrapped.denoise(x, torch.tensor([1.0, 2.0])), linear(x))
    assert seen[0].tolist() == [1, 2]
    assert (wrapped.sample_shape, wrapped.data_std) == ((3,), 2.0)
    assert wrapped.default_sites == ("a:in",)
    assert wrapped.network is linear


def test_the_value_range_maps_images_there_and_back():
    words = {"sample_shape": (3,), "data_std": 1.0}
    wrapped = wrap(nn.Identity(), value_range=(-2.0, 6.0), **words)
    images = torch.tensor([[0.0, 0.5, 1.0]])
    assert wrapped.encode(images).tolist() == [[-2, 2, 6]]
    assert torch.equal(wrapped.decode(wrapped.encode(images)), images)
    assert wrapped.decode(torch.tensor([[-9.0, 2.0, 9.0]])).tolist() == [[0, 0.5, 1]]
    assert wrap(nn.Identity(), **words).encode(images).tolist() == [[-1, 0, 1]]


def test_wrapping_changes_nothing_of_the_module():
    linear = nn.Linear(3, 3)
    before = {name: weight.clone() for name, weight in linear.state_dict().items()}
    wrapped = wrap(linear, sample_shape=(3,), data_std=1.0)
    fingerprint(wrapped)
    assert linear.training
    assert all(torch.equal(before[n], w) for n, w in linear.state_dict().items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"prediction": "noise"}, '"noise"'),
        ({"data_std": 0.0}, r"data_std 0\.0"),
        ({"data_std": float("nan")}, "data_std nan"),
        ({"value_range": (1.0, 1.0)}, r"value_range \(1\.0, 1\.0\)"),
        ({"value_range": (1.0, -1.0)}, "increasing"),
    ],
    ids=[
        "unknown prediction",
        "no spread",
        "spread not a number",
        "empty range",
        "range reversed",
    ],
)
def test_a_word_out_of_range_is_refused(words, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests
    with pytest.raises(BadInputError, match=message):
        wrap(nn.Identity(), **({"sample_shape": (3,), "data_std": 1.0} | words))


def test_weights_that_are_not_finite_are_refused():
    linear = nn.Linear(3, 3)
    linear.weight.data[0, 0] = float("inf")
    with pytest.raises(NonFiniteError, match="weight"):
        wrap(linear, sample_shape=(3,), data_std=1.0)
