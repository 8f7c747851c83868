import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from equipoise.zoo.patch_basis import fit_patch_basis


def draw_pictures(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 8, 12), generator=generator, dtype=torch.uint8)


def cut_by_hand(pictures):
    scaled = pictures.double() / 127.5 - 1
    return np.array(
        [
            scaled[k, :, y : y + 4, x : x + 4].flatten().tolist()
            for k in range(len(pictures)) for y in (0, 4) for x in (0, 4, 8)
        ]
    )  # fmt: skip


def test_latents_are_half_whitened_principal_components():
    pictures = draw_pictures()
    patches = cut_by_hand(pictures)
    reference = PCA(5).fit(patches)
    found = fit_patch_basis(pictures, 5).project(pictures)
    assert found.shape == (6, 5, 2, 3)
    rows = found.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    expected = reference.transform(patches)
    # scikit-learn divides by n - 1, and its signs are its own.
    std = expected.std(axis=0)
    halved = expected / np.sqrt(std) / np.sqrt(std.mean())
    np.testing.assert_allclose(np.abs(rows), np.abs(halved), rtol=1e-5, atol=1e-6)


def test_the_mean_square_of_all_latents_is_one():
    pictures = draw_pictures()
    latents = fit_patch_basis(pictures, 4).project(pictures)
    assert float(latents.square().mean()) == pytest.approx(1, rel=1e-6)
    assert float(latents.mean(dim=(0, 2, 3)).abs().max()) < 1e-6


def test_patches_that_do_not_vary_enough_are_refused():
    flat = torch.full((3, 3, 8, 8), 90, dtype=torch.uint8)
    with pytest.raises(ValueError, match="vary along 0"):
        fit_patch_basis(flat, 2)
