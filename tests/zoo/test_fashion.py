import gzip
import struct

import pytest
import torch

from equipoise.errors import BadInputError
from equipoise.zoo.fashion import (
    CLASS_FILES,
    FILES,
    content_hash,
    read_classes,
    read_images,
    shrink,
)


def write_idx(folder, pixels, magic=2051):
    header = struct.pack(">iiii", magic, *pixels.shape)
    (folder / FILES["train"]).write_bytes(gzip.compress(header + pixels.numpy().tobytes()))


def test_images_are_read_as_they_were_written(tmp_path):
    pixels = torch.randint(0, 256, (3, 28, 28)).to(torch.uint8)
    write_idx(tmp_path, pixels)
    assert torch.equal(read_images("train", tmp_path), pixels)


def test_a_missing_file_says_what_to_install(tmp_path):
    with pytest.raises(BadInputError, match="dataset-fashion-mnist"):
        read_images("train", tmp_path)


def test_a_file_of_labels_is_refused(tmp_path):
    write_idx(tmp_path, torch.zeros(3, 28, 28, dtype=torch.uint8), magic=2049)
    with pytest.raises(BadInputError, match="not an IDX file"):
        read_images("train", tmp_path)


def test_shrinking_keeps_flat_pictures_flat():
    flat = torch.full((2, 28, 28), 77, dtype=torch.uint8)
    assert torch.equal(shrink(flat, 16), torch.full((2, 1, 16, 16), 77, dtype=torch.uint8))


def test_the_hash_sees_every_pixel_and_the_shape():
    image = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    changed = image.clone()
    changed[1, 0, 3, 3] = 1
    hashes = {content_hash(image), content_hash(changed), content_hash(image.reshape(1, 2, 4, 4))}
    assert len(hashes) == 3


def test_classes_are_read_as_they_were_written_and_images_are_refused(tmp_path):
    path = tmp_path / CLASS_FILES["train"]
    path.write_bytes(gzip.compress(struct.pack(">ii", 2049, 3) + bytes([7, 0, 9])))
    assert read_classes("train", tmp_path).tolist() == [7, 0, 9]
    path.write_bytes(gzip.compress(struct.pack(">ii", 2051, 3) + bytes([7, 0, 9])))
    with pytest.raises(BadInputError, match="classes"):
        read_classes("train", tmp_path)
