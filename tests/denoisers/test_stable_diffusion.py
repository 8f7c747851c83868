import pytest
import torch

from equipoise.denoisers import Denoiser, build_stable_diffusion
from equipoise.denoisers.stable_diffusion import encode_prompts
from equipoise.detection import build_default
from equipoise.images import content_ids, quantize
from equipoise.representation import select_sites, sites

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.fixture
def model(pipeline):
    return build_stable_diffusion(pipeline)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_estimate_is_the_schedulers_own(pipeline, kind, scheduler):
    told = type(scheduler).from_config(scheduler.config, prediction_type=kind)
    parts = {**pipeline.components, "scheduler": told}
    model = build_stable_diffusion(type(pipeline)(**parts, requires_safety_checker=False))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    empty = encode_prompts(pipeline, ["", ""])
    told.set_timesteps(1000)
    for time in (0, 300, 999):
        sigma = model.grid.sigmas[time].float()
        z = x / (1 + sigma**2).sqrt()
        output = pipeline.unet(z, time, encoder_hidden_states=empty).sample
        expected = told.step(output, time, z).pred_original_sample
        found = model.denoise(x, sigma.expand(2))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_prompts_are_encoded_as_the_pipeline_does(pipeline):
    expected, negative = pipeline.encode_prompt(
        ["a cat", "dogs"], "cpu", 1, True, negative_prompt=["", ""]
    )
    torch.testing.assert_close(encode_prompts(pipeline, ["a cat", "dogs"]), expected)
    torch.testing.assert_close(encode_prompts(pipeline, ["", ""]), negative)


def test_the_denoiser_encodes_prompts_where_it_computes(pipeline, model):
    expected = encode_prompts(pipeline, ["a cat", "dogs"])
    assert torch.equal(model.encode_prompts(["a cat", "dogs"]), expected)
    moved = model.to("cpu", torch.float64).encode_prompts(["a cat"])
    assert torch.equal(moved, expected[:1].double())


def test_the_empty_prompt_is_encoded_once(pipeline):
    calls = []
    handle = pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        model = build_stable_diffusion(pipeline)
        for _ in range(3):
            model.denoise(torch.randn(2, 4, 8, 8), torch.full((2,), model.snap(0.2)))
    finally:
        handle.remove()
    assert len(calls) == 1
    assert model.null_condition(5).shape == (5, 16, 12)


def test_it_is_a_denoiser_on_the_latents_of_pictures(model):
    assert isinstance(model, Denoiser)
    assert model.sample_shape == (4, 8, 8)
    assert model.image_shape == (3, 16, 16)
    assert model.encode(torch.rand(2, 3, 16, 16)).shape == (2, 4, 8, 8)
    assert model.decode(torch.randn(2, 4, 8, 8)).shape == (2, 3, 16, 16)


def test_default_sites_are_where_the_paper_looks(model):
    found = select_sites(model, model.default_sites)
    assert found == (
        "up_blocks.0.resnets.0.conv2:in",
        "up_blocks.0.resnets.1.conv2:in",
        "up_blocks.1.resnets.0.conv2:in",
    )
    assert all(site.calls == 1 for site in sites(model) if site.name in found)


def test_pictures_are_scored_whatever_the_batch(model):
    detector = build_default(model)
    images = torch.rand(5, 3, 16, 16)
    ids = content_ids(quantize(images))
    whole = detector.score(model, images, ids).values
    torch.testing.assert_close(
        detector.score(model, images, ids, batch=2).values, whole, rtol=1e-5, atol=0
    )


def test_moving_leaves_the_pipeline_as_it_was(model, pipeline):
    moved = model.to("cpu", torch.bfloat16)
    assert next(pipeline.unet.parameters()).dtype == torch.float32
    assert moved.null_condition(1).dtype == torch.bfloat16
    x = torch.randn(1, 4, 8, 8)
    sigma = torch.full((1,), model.snap(1.0))
    torch.testing.assert_close(
        moved.denoise(x, sigma), model.denoise(x, sigma), rtol=0.1, atol=0.1
    )
