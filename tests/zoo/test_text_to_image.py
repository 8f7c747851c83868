import numpy as np
import pytest
import torch

from equipoise.denoisers import build_stable_diffusion
from equipoise.zoo.autoencoder import build_autoencoder
from equipoise.zoo.patch_basis import fit_patch_basis
from equipoise.zoo.recipe import SD, DecoderRecipe
from equipoise.zoo.text_to_image import build_pipeline

pytestmark = pytest.mark.slow  # diffusers takes seconds to import

RECIPE = SD.model_copy(
    update={"channels": (16, 32), "text_width": 16, "decoder": DecoderRecipe(num_latents=4)}
)
PICTURES = torch.randint(
    0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def build():
    torch.manual_seed(0)
    vae = build_autoencoder(fit_patch_basis(PICTURES, 4), channels=(12, 16, 24))
    return build_pipeline(RECIPE, vae)


@pytest.fixture(scope="module")
def pipeline():
    return build()


def test_stock_diffusers_opens_and_runs_the_folder(pipeline, tmp_path):
    from diffusers import StableDiffusionPipeline

    pipeline.save_pretrained(tmp_path)
    opened = StableDiffusionPipeline.from_pretrained(tmp_path, local_files_only=True)
    words = {"num_inference_steps": 2, "guidance_scale": 2.0, "output_type": "np"}
    prompt = "a small google pig, centre, on blue"

    def draw(model):
        model.set_progress_bar_config(disable=True)
        return model(prompt, generator=torch.Generator().manual_seed(0), **words).images

    assert draw(opened).shape == (1, 64, 64, 3)
    # Opened, it has the fused attention.
    np.testing.assert_allclose(draw(opened), draw(pipeline), atol=1e-4)


def test_it_is_a_function_of_the_recipe_and_leaves_the_random_state_alone(pipeline):
    other = build()
    before = torch.random.get_rng_state()
    build_pipeline(RECIPE, other.vae)
    assert torch.equal(before, torch.random.get_rng_state())
    for part in ("unet", "text_encoder"):
        one, two = (getattr(p, part).state_dict() for p in (pipeline, other))
        assert all(torch.equal(one[name], weights) for name, weights in two.items())


def test_the_starting_noise_holds_next_to_nothing_of_a_picture(pipeline):
    model = build_stable_diffusion(pipeline)
    assert 60 < float(model.grid.sigmas.max()) < 70
    assert model.prediction == "v"
    assert model.sample_shape == (4, 16, 16)
    assert model.image_shape == (3, 64, 64)


def test_the_text_encoder_tells_words_and_places_apart(pipeline):
    model = build_stable_diffusion(pipeline)
    captions = [
        "a small google pig, centre, on blue", "a small google pig, centre, on red",
        "a small google fish, centre, on blue", "",
    ]  # fmt: skip
    encoded = model.encode_prompts(captions)
    assert encoded.shape == (4, 16, 16)
    apart = torch.pdist(encoded.flatten(1))
    assert float(apart.min()) > 0.5
    # CLIP looks back only: what comes before the first other word is the same.
    assert torch.equal(encoded[0, :8], encoded[1, :8])
    assert torch.equal(model.null_condition(1)[0], encoded[3])
