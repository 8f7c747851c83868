import pytest
import torch

import equipoise as eq

from . import tiny

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def test_every_level_is_known_and_the_empty_prompt_is_the_empty_condition():
    model = eq.load(tiny.build_pipeline("stable-diffusion-3"))
    assert model.snap(0.2345) == 0.2345
    assert torch.equal(model.null_condition(1), model.encode_prompts([""]))


def test_a_pipeline_without_its_third_encoder_opens():
    pipeline = tiny.build_stable_diffusion_3()
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    model = eq.load(pipeline, size=(16, 24))
    assert model.denoise(torch.ones(1, 4, 8, 12), torch.ones(1)).isfinite().all()


def test_latents_are_shifted_and_scaled_as_the_pipeline_does():
    pipeline = tiny.build_pipeline("stable-diffusion-3")
    model = eq.load(pipeline)
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    config = pipeline.vae.config
    latents = pipeline.vae.encode(2 * images - 1).latent_dist.mean
    expected = (latents - config.shift_factor) * config.scaling_factor
    torch.testing.assert_close(model.encode(images), expected)
    torch.testing.assert_close(
        model.decode(expected), (pipeline.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    )
