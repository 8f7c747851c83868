import json
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.steering import ConceptVector, VectorRecord, build_random, load_vector

SIGMAS = (0.5, 2.0)


def make(seed=0, *, sites=("a:out", "b:in"), fingerprint="f" * 16, sigmas=SIGMAS, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a:out": (4, 3, 3), "b:in": (5,), "c:out": (2,)}

    def draw(site):
        return torch.randn(len(sigmas), *shapes[site], generator=generator)

    record = VectorRecord(
        model="tiny", fingerprint=fingerprint, kind="per-position", sigmas=sigmas,
        rms={site: (1.0,) * len(sigmas) for site in sites}, recipe={"seed": seed},
    )  # fmt: skip
    return ConceptVector(
        record, {site: scale * draw(site) for site in sites}, {site: draw(site) for site in sites}
    )


def equal(one, two):
    return one.tensors.keys() == two.tensors.keys() and all(
        torch.equal(one.tensors[site], two.tensors[site]) for site in one.sites
    )


def test_a_file_comes_back_bit_for_bit(tmp_path):
    vector = make()
    vector.save(tmp_path / "a.safetensors")
    back = load_vector(tmp_path / "a.safetensors")
    assert back.record == vector.record
    assert equal(back, vector)
    assert all(torch.equal(back.origins[s], vector.origins[s]) for s in vector.sites)
    back.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9), st.integers(10, 19), st.floats(-3, 3))
def test_vectors_are_a_vector_space(one, two, factor):
    a, b = make(one), make(two)
    assert equal(a + b, b + a)
    assert equal(a - b, a + (-1.0) * b)
    assert equal(factor * a, a * factor)
    assert all(not bool((a - a).tensors[site].any()) for site in a.sites)
    for site in a.sites:
        torch.testing.assert_close(
            (factor * (a + b)).tensors[site],
            factor * a.tensors[site] + factor * b.tensors[site],
        )


def test_a_site_that_one_lacks_is_zero():
    a, b = make(1, sites=("a:out",)), make(2, sites=("a:out", "c:out"))
    both = a + b
    assert torch.equal(both.tensors["c:out"], b.tensors["c:out"])
    assert torch.equal(both.tensors["a:out"], a.tensors["a:out"] + b.tensors["a:out"])
    assert both.record.rms.keys() == {"a:out", "c:out"}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (make(1, fingerprint="e" * 16), "eeee"),
        (make(1, sigmas=(0.5,)), "noise levels"),
    ],
    ids=["another model", "other noise levels"],
)
def test_what_does_not_belong_together_is_not_added(other, told):
    with pytest.raises(BadInputError, match=told):
        _ = make() + other


def test_another_model_is_refused_with_both_names(tiny_edm):
    with pytest.raises(BadInputError, match=r'"tiny" \(f{16}\).*"UNet"'):
        make().check_model(tiny_edm, "UNet")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(tmp_path, value):
    vector = make()
    with pytest.raises(NonFiniteError):
        _ = vector * value
    vector.save(tmp_path / "v.safetensors")
    content = bytearray((tmp_path / "v.safetensors").read_bytes())
    content[-4:] = struct.pack("<f", value)  # the last number of the last tensor
    (tmp_path / "v.safetensors").write_bytes(content)
    with pytest.raises(NonFiniteError):
        load_vector(tmp_path / "v.safetensors")


def test_a_pickle_and_a_foreign_file_are_refused(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "v.pt")
    save_file({"a": torch.zeros(2)}, tmp_path / "v.safetensors")
    vector = make()
    record = json.loads(vector.record.model_dump_json()) | {"version": 2}
    save_file({"a": torch.zeros(2)}, tmp_path / "n.safetensors", {"equipoise": json.dumps(record)})
    with pytest.raises(BadInputError, match="pickles are not"):
        load_vector(tmp_path / "v.pt")
    with pytest.raises(BadInputError, match="pickles are not"):
        load_vector(tmp_path / "missing.safetensors")
    with pytest.raises(BadInputError, match="no concept vector"):
        load_vector(tmp_path / "v.safetensors")
    with pytest.raises(BadInputError, match="upgrade"):
        load_vector(tmp_path / "n.safetensors")


def test_tensors_that_do_not_fit_the_record_are_refused():
    vector = make()
    with pytest.raises(BadInputError, match="one shape"):
        ConceptVector(vector.record, {"a:out": vector.tensors["a:out"]}, vector.origins)


def test_a_random_direction_has_the_same_size_everywhere():
    vector = make(scale=3.0)
    one, two = build_random(vector, seed=1), build_random(vector, seed=1)
    assert equal(one, two)
    assert not equal(one, build_random(vector, seed=2))
    for site in vector.sites:
        norms = [v.tensors[site].flatten(1).norm(dim=1) for v in (vector, one)]
        torch.testing.assert_close(*norms)
