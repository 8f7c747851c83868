from types import SimpleNamespace

import pytest

from equipoise.denoisers import fit_shapes
from equipoise.errors import BadInputError

# Halves a picture three times.
VAE = SimpleNamespace(config=SimpleNamespace(block_out_channels=(1, 1, 1, 1), in_channels=3))


@pytest.mark.parametrize(
    ("default", "size", "sample", "image"),
    [
        (64, None, (16, 64, 64), (3, 512, 512)),
        ((32, 48), None, (16, 32, 48), (3, 256, 384)),
        (64, (768, 512), (16, 96, 64), (3, 768, 512)),
    ],
    ids=["square by default", "oblong by default", "asked for"],
)
def test_samples_are_an_eighth_of_their_pictures(default, size, sample, image):
    shapes = fit_shapes(VAE, channels=16, default=default, size=size, patch=2)
    assert (shapes.sample, shapes.image) == (sample, image)


@pytest.mark.parametrize("size", [(520, 512), (512, 0)])
def test_a_size_that_cuts_a_patch_is_refused(size):
    with pytest.raises(BadInputError, match="multiples of 16"):
        fit_shapes(VAE, channels=16, default=64, size=size, patch=2)
