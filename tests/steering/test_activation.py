import pytest
import torch

from equipoise.errors import BadInputError, CaptureError
from equipoise.steering import ConceptVector, VectorRecord
from equipoise.steering.activation import steer_activation
from equipoise.steering.rows import Rows

GENERATOR = torch.Generator().manual_seed(0)


def make(shape):
    record = VectorRecord(
        model="m", fingerprint="f", kind="pooled", sigmas=(0.5, 2.0), rms={"a:out": (1.0, 1.0)}
    )
    tensor = torch.randn(2, *shape, generator=GENERATOR)
    return ConceptVector(record, {"a:out": tensor}, {"a:out": torch.zeros_like(tensor)})


def apply(h, vector, strengths, *, sigma=None, mask=None):
    told = torch.tensor(strengths, dtype=torch.float64)[None]
    levels = torch.full((len(strengths),), 0.5) if sigma is None else torch.tensor(sigma)
    rows = Rows(levels.double(), told, mask)
    return steer_activation(h, "a:out", rows, [vector], mode="add", affine=False)


@pytest.mark.parametrize("shape", [(5, 4, 6), (9, 5), (5,)], ids=["map", "tokens", "units"])
def test_a_pooled_vector_is_added_at_every_place_of_the_row_of_its_level(shape):
    h, vector = torch.randn(3, *shape, generator=GENERATOR), make((5,))
    found = apply(h, vector, [1.0, 0.0, 2.0], sigma=[0.4, 0.4, 3.0])
    axes = (5, 1, 1) if len(shape) == 3 else (5,)
    low, high = (row.reshape(axes) for row in vector.tensors["a:out"])
    torch.testing.assert_close(found, torch.stack([h[0] + low, h[1], h[2] + 2 * high]))
    assert torch.equal(found[1], h[1])


@pytest.mark.parametrize("shape", [(5, 4, 4), (16, 5)], ids=["map", "square of tokens"])
def test_a_mask_is_averaged_down_to_the_site(shape):
    h, vector = torch.randn(1, *shape, generator=GENERATOR), make((5,))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1  # columns 0 and half of 1
    change = apply(h, vector, [1.0], mask=mask) - h
    share = torch.tensor([1, 0.5, 0, 0]).repeat(4)
    expected = share[:, None] * vector.tensors["a:out"][0]
    flat = change[0].flatten(1).T if len(shape) == 3 else change[0]
    torch.testing.assert_close(flat, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_added_in_single_and_given_back_in_half():
    h, vector = torch.randn(1, 5, generator=GENERATOR).half(), make((5,))
    expected = (h.float() + vector.tensors["a:out"][0]).half()
    assert torch.equal(apply(h, vector, [1.0]), expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInputError, match='"pooled" one'):
        apply(torch.zeros(1, 5, 8, 8), make((5, 4, 4)), [1.0])
    with pytest.raises(BadInputError, match="neither a map nor a square"):
        apply(torch.zeros(1, 6, 5), make((5,)), [1.0], mask=torch.ones(1, 1, 8, 8))
    with pytest.raises(CaptureError, match="3 rows for 1 samples"):
        apply(torch.zeros(3, 5), make((5,)), [1.0])
