import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.images import as_unit, content_id, content_ids, quantize


@pytest.fixture
def picture():
    return torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)


def test_an_id_is_the_hash_of_shape_and_bytes_in_every_version(picture):
    expected = hashlib.blake2b(b"(2, 3, 4)" + bytes(range(24)), digest_size=16).hexdigest()
    assert content_id(picture) == expected == "cfd0dbdbb3fdcb59b0154f1d81cd8239"


def test_equal_pictures_have_equal_ids_whatever_their_layout(picture):
    laid_out = picture.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert not laid_out.is_contiguous()
    assert content_id(laid_out) == content_id(picture.clone()) == content_id(picture)


def test_every_pixel_and_the_shape_are_in_the_id(picture):
    ids = {content_id(picture)}
    for place in range(24):
        other = picture.clone()
        other.view(-1)[place] += 1
        ids.add(content_id(other))
    shapes = [(3, 2, 4), (2, 4, 3), (1, 6, 4), (24, 1, 1)]
    ids |= {content_id(picture.reshape(shape)) for shape in shapes}
    ids.add(content_id(picture.flip(-1)))
    assert len(ids) == 1 + 24 + len(shapes) + 1


def test_ids_come_in_the_order_of_the_pictures(picture):
    both = torch.stack([picture, picture.flip(0)])
    assert content_ids(both) == [content_id(picture), content_id(picture.flip(0))]
    assert content_ids(both[:0]) == []


def test_eight_bits_survive_the_way_to_values_and_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    unit = as_unit(every)
    assert unit.dtype == torch.float32
    assert (unit.min(), unit.max()) == (0, 1)
    assert torch.equal(quantize(unit), every)
    assert torch.equal(quantize(unit.double()), every)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=20))
def test_quantizing_rounds_to_the_nearest_and_clips(values):
    images = torch.tensor([values])
    found = quantize(images)
    gaps = as_unit(found) - images.clamp(0, 1)
    assert found.dtype == torch.uint8
    assert gaps.abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(quantize(as_unit(found)), found)


def test_quantizing_needs_no_gradient_and_leaves_the_images_alone():
    images = torch.tensor([[0.2, 1.7]], requires_grad=True)
    assert quantize(images).tolist() == [[51, 255]]
    assert images.tolist()[0][1] == pytest.approx(1.7)
