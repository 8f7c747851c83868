import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import equipoise as eq
from equipoise.detection.transformer import SpikinessTransformer
from equipoise.errors import BadInputError, UnknownSiteError
from equipoise.images import as_unit
from equipoise.zoo.package import load_zoo


class Layer(torch.nn.Module):
    """A layer in float64, so that rows do not depend on their company by more than 1e-7."""

    def __init__(self, width):
        super().__init__()
        generator = torch.Generator().manual_seed(width)
        into = torch.randn(width, 16, generator=generator, dtype=torch.float64)
        self.into = torch.nn.Parameter(into, requires_grad=False)
        self.units = torch.nn.ReLU()

    def forward(self, x, sigma):
        return (self.units(x.double() @ self.into) @ self.into.T).to(x.dtype)


class OfAnyWidth(SpikinessTransformer):
    """With a model as wide as the data of each check: a real one has one shape."""

    def _open(self):
        width = self.n_features_in_
        return eq.wrap(
            Layer(width), sample_shape=(width,), data_std=1.0, call=call, sites=("units:out",)
        )


def call(network, x, sigma):
    return network(x, sigma)


TYPED = "the types of arguments are checked in the test run, so a word of another type raises"


@parametrize_with_checks(
    [OfAnyWidth(given="samples")],
    expected_failed_checks=lambda _: {"check_do_not_raise_errors_in_init_or_set_params": TYPED},
)
def test_it_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 1, 16, 16), dtype=np.float32)


def test_each_column_is_the_spikiness_at_one_site(tiny_edm, images):
    found = SpikinessTransformer(tiny_edm, draws=2, seed=3)
    columns = found.fit_transform(images)
    assert columns.shape == (5, 2)
    assert list(found.get_feature_names_out()) == list(found.sites_)
    for column, site in zip(columns.T, found.sites_, strict=True):
        detector = eq.Spikiness(sites=(site,), sigma=found.sigma_, draws=2, seed=3)
        scores = eq.spikiness(tiny_edm, torch.from_numpy(images), detector=detector)
        np.testing.assert_allclose(column, scores.values.numpy(), rtol=1e-6)


def test_flat_rows_and_encoded_samples_are_read_alike(tiny_edm, images):
    found = SpikinessTransformer(tiny_edm).fit(images)
    flat = images.reshape(5, -1)
    assert np.array_equal(found.transform(images), found.transform(flat))
    samples = tiny_edm.encode(torch.from_numpy(images)).numpy()
    other = clone(found).set_params(given="samples").fit(samples)
    assert other.transform(samples).shape == (5, 2)
    assert not np.array_equal(other.transform(samples), found.transform(images))  # other noise


@pytest.mark.parametrize(
    ("words", "rows", "told"),
    [
        ({}, np.zeros((2, 100), np.float32), "100 numbers"),
        ({}, np.full((2, 256), 255, np.uint8), "Divide 8-bit pictures"),
        ({"given": "latents"}, np.zeros((2, 256)), "samples"),
        ({"draws": 0}, np.zeros((2, 256)), "at least one draw"),
    ],
    ids=["another size", "values to 255", "an unknown word", "no draw"],
)
def test_what_is_no_image_of_the_model_is_refused(tiny_edm, words, rows, told):
    with pytest.raises(BadInputError, match=told):
        SpikinessTransformer(tiny_edm).set_params(**words).fit(rows)


def test_an_unknown_site_is_refused(tiny_edm, images):
    with pytest.raises(UnknownSiteError):
        SpikinessTransformer(tiny_edm, sites="nowhere.*").fit(images)


def test_a_classifier_on_top_tells_planted_images_from_held_out_ones():
    zoo = load_zoo("zoo:edm-fashion")
    often = [item.index for item in zoo.training_set.planted if item.multiplicity == 90]
    shown, never = zoo.training_set.images[often], zoo.held_out[: 2 * len(often)]
    X = torch.cat([as_unit(shown), as_unit(never)]).numpy()
    y = np.arange(len(X)) < len(shown)
    pipeline = make_pipeline(eq.SpikinessTransformer("zoo:edm-fashion"), LogisticRegression())
    pipeline.fit(X[::2], y[::2])
    assert roc_auc_score(y[1::2], pipeline.predict_proba(X[1::2])[:, 1]) > 0.9
