import pytest
import torch

import equipoise as eq
from equipoise.errors import BadInputError, UnsafeFileError

from . import tiny

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def test_samples_are_what_the_pipeline_makes_of_the_latents():
    pipeline = tiny.build_pipeline("flux-2-klein")
    model = eq.load(pipeline, size=(16, 24))
    images = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    expected = pipeline._encode_vae_image(2 * images - 1, generator=None)
    assert expected.shape[1:] == model.sample_shape == (16, 4, 6)
    torch.testing.assert_close(model.encode(images), expected)
    latents = pipeline.vae.encode(2 * images - 1).latent_dist.mean
    decoded = (pipeline.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(model.decode(expected), decoded)


def test_guidance_is_told_to_the_distilled_network_and_klein_is_guided_in_pairs():
    told, klein = tiny.build_pipeline("flux-2"), tiny.build_pipeline("flux-2-klein")
    x, sigma = torch.ones(1, 16, 2, 2), torch.ones(1)
    default, stated, higher = (
        eq.load(told, size=(8, 8), **words).denoise(x, sigma)
        for words in ({}, {"guidance": 4.0}, {"guidance": 8.0})
    )
    assert torch.equal(default, stated)
    assert not torch.allclose(default, higher)
    assert (eq.load(told).guidance, eq.load(klein).guidance) == (1.0, 4.0)
    with pytest.raises(BadInputError, match="told no guidance"):
        eq.load(klein, guidance=4.0)


def test_a_size_that_cuts_a_square_of_latents_is_refused():
    with pytest.raises(BadInputError, match="multiples of 4"):
        eq.load(tiny.build_pipeline("flux-2"), size=(18, 24))


def test_its_folder_is_refused_with_the_way_out(tmp_path):
    tiny.build_pipeline("flux-2-klein").save_pretrained(tmp_path / "model")
    with pytest.raises(UnsafeFileError, match="give the live pipeline"):
        eq.load(tmp_path / "model")
