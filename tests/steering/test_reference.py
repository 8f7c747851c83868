import numpy as np
import pytest
import torch
from PIL import Image

import equipoise as eq
from equipoise.errors import UnreadablePictureError
from equipoise.steering.reference import read_references


def write(folder, count, *, seed):
    folder.mkdir()
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 16, 16), dtype=np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{index}.png")
    return torch.from_numpy(pixels)[:, None].float() / 255


def test_a_folder_gives_the_vector_that_its_pixels_give(tiny_edm, tmp_path):
    one, two = write(tmp_path / "one", 3, seed=0), write(tmp_path / "two", 2, seed=1)
    torch.testing.assert_close(read_references(tmp_path / "one", (1, 16, 16)), one)
    found = eq.concept(tiny_edm, positive=tmp_path / "one", negative=str(tmp_path / "two"))
    same = eq.concept(tiny_edm, positive=one, negative=two)
    assert found.record.model == "UNet"
    assert all(torch.equal(found.tensors[site], same.tensors[site]) for site in same.sites)


def test_a_reference_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UnreadablePictureError):
        read_references(tmp_path, (1, 16, 16))
