import pytest
import torch
from edm_snapshot import write_snapshot

from equipoise.checkpoints.snapshot import read_snapshot
from equipoise.denoisers import Denoiser
from equipoise.denoisers.snapshot import build_from_snapshot
from equipoise.detection import build_default
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.representation import select_sites

from . import edm_reference
from .edm_cases import CASES, PRECONDITIONINGS, build_case

pytestmark = pytest.mark.slow  # eight networks take seconds

SIGMAS = (0.002, 0.07, 0.5, 3.0, 80.0)
EVERY = [
    pytest.param(name, column, marks=[] if (name, column) == ("ncsn++", "VPPrecond") else slow)
    for slow in [pytest.mark.slow]
    for name in CASES
    for column in PRECONDITIONINGS
]


def load(data):
    return build_from_snapshot(read_snapshot(memoryview(data)))


@pytest.mark.parametrize(("name", "column"), EVERY)
def test_answers_are_those_of_an_independent_network(name, column):
    """Within 1e-5 of the size of the answer, at every noise level, with and without classes."""
    kind, tensors, data = build_case(name, column)
    model = load(data)
    raw = {n.removeprefix("model."): t for n, t in tensors.items() if n != "u"}
    levels = tensors.get("u")
    generator = torch.Generator().manual_seed(0)
    sigma = torch.tensor(SIGMAS)
    x = torch.randn(5, *model.sample_shape, generator=generator)
    x = x * (0.25 + sigma[:, None, None, None] ** 2).sqrt()
    conditions = [None]
    if model.num_classes:
        conditions.append(torch.eye(model.num_classes)[[0, 1, 2, 3, 1]])
    for cond in conditions:
        classes = cond if cond is not None else model.null_condition(5)

        def network(z, c_noise, classes=classes):
            return edm_reference.run(raw, z, c_noise, classes, kind)

        expected = edm_reference.precondition(column, network, x.double(), sigma, levels)
        with torch.no_grad():
            found = model.denoise(x, sigma, cond)
        size = expected.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
        assert float(((found - expected) / size).abs().max()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_in_float64_the_raw_network_agrees_to_the_last_digits(name):
    kind, tensors, data = build_case(name, "EDMPrecond")
    network = load(data).network.double()
    network.map_noise.float()  # features of the noise label stay as published weights know them
    x = torch.randn(2, *load(data).sample_shape, dtype=torch.float64)
    c_noise = torch.tensor([-1.3, 0.4])
    raw = {n.removeprefix("model."): t for n, t in tensors.items()}
    classes = torch.rand(2, load(data).num_classes) if load(data).num_classes else None
    expected = edm_reference.run(raw, x, c_noise, classes, kind)
    torch.testing.assert_close(network(x, c_noise, classes), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_it_is_a_denoiser_with_sites():
    model = load(build_case("ddpm++ with classes", "EDMPrecond")[2])
    assert isinstance(model, Denoiser)
    assert model.data_std == 0.5
    assert select_sites(model, model.default_sites) == (
        "dec.4x4_block0.conv1:in", "dec.4x4_block1.conv1:in", "dec.8x8_block0.conv1:in",
    )  # fmt: skip
    images = torch.rand(3, 1, 8, 8)
    assert build_default(model).score(model, images, ["a", "b", "c"]).values.shape == (3,)


def test_classes_are_given_by_number_or_by_weight(edm_with_classes):
    model = load(edm_with_classes)
    x, sigma = torch.randn(2, 1, 8, 8), torch.ones(2)
    by_number = model.denoise(x, sigma, torch.tensor([3, 0]))
    by_weight = model.denoise(x, sigma, torch.eye(5)[[3, 0]])
    assert torch.equal(by_number, by_weight)
    assert torch.equal(model.denoise(x, sigma), model.denoise(x, sigma, torch.zeros(2, 5)))
    assert not torch.allclose(by_number, model.denoise(x, sigma))
    with pytest.raises(BadInputError, match=r"\(2, 5\)"):
        model.denoise(x, sigma, torch.zeros(2, 4))


@pytest.fixture(scope="module")
def edm_with_classes():
    return build_case("ddpm++ with classes", "EDMPrecond")[2]


def test_positional_arguments_of_the_network_count_too(edm_with_classes):
    from .edm_cases import DDPMPP, SMALL

    _, tensors, _ = build_case("ddpm++ with classes", "EDMPrecond")
    scalars = {"img_resolution": 8, "img_channels": 1, "label_dim": 5}
    keywords = {**DDPMPP, **SMALL}
    data = write_snapshot(
        "EDMPrecond", scalars, "SongUNet", keywords, tensors, arguments=(8, 1, 1, 5)
    )
    x, sigma = torch.randn(2, 1, 8, 8), torch.ones(2)
    assert torch.equal(load(data).denoise(x, sigma), load(edm_with_classes).denoise(x, sigma))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class_name": "EDM2Precond"}, r'"EDM2Precond"; known are EDMPrecond'),
        ({"model_class": "UViT"}, r'"UViT"; known are SongUNet'),
        ({"keywords": {"num_blocks": 10**9}}, "num_blocks"),
        ({"keywords": {"channel_mult": [1] * 1000}}, "channel_mult"),
        ({"keywords": {"brand_new": 1}}, "brand_new"),
        ({"keywords": {"img_resolution": 6, "channel_mult": [1, 1, 1]}}, "cannot be halved"),
        ({"keywords": {"model_channels": 4000}}, "names and shapes differ"),
        ({"keywords": {"model_channels": 3}}, "whole groups"),
        ({"scalars": {"label_dim": 7}}, "contradicts itself"),
        ({"scalars": {"sigma_data": float("nan")}}, "sigma_data"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_built(change, told):
    from .edm_cases import DDPMPP, SMALL

    _, tensors, _ = build_case("ddpm++ with classes", "EDMPrecond")
    scalars = {"img_resolution": 8, "img_channels": 1, "label_dim": 5}
    keywords = {"img_resolution": 8, "in_channels": 1, "out_channels": 1, "label_dim": 5}
    data = write_snapshot(
        change.get("class_name", "EDMPrecond"),
        scalars | change.get("scalars", {}),
        change.get("model_class", "SongUNet"),
        keywords | DDPMPP | SMALL | change.get("keywords", {}),
        tensors,
    )
    with pytest.raises(BadInputError, match=told):
        load(data)


def test_weights_that_are_not_finite_are_named():
    from .edm_cases import DDPMPP, SMALL

    _, tensors, _ = build_case("one level", "EDMPrecond")
    tensors["model.map_layer0.bias"][2] = float("nan")
    keywords = {"img_resolution": 4, "in_channels": 3, "out_channels": 3, **DDPMPP, **SMALL}
    data = write_snapshot(
        "EDMPrecond", {"img_resolution": 4, "img_channels": 3}, "SongUNet",
        keywords | {"channel_mult": [1]}, tensors,
    )  # fmt: skip
    with pytest.raises(NonFiniteError, match=r"map_layer0\.bias"):
        load(data)
