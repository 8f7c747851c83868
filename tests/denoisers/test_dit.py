import copy

import pytest
import torch

from equipoise.denoisers import Denoiser, build_dit
from equipoise.detection import build_default
from equipoise.errors import BadInputError
from equipoise.images import content_ids, quantize
from equipoise.representation import capture, select_sites, sites

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.fixture
def model(transformer, scheduler):
    return build_dit(transformer, scheduler, data_std=0.5)


def test_the_estimate_is_the_schedulers_own(model, transformer, scheduler):
    """diffusers' DDIM step estimates the clean sample too; both must agree."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 8, 8, generator=generator)
    scheduler.set_timesteps(1000)
    for time in (0, 400, 999):
        sigma = model.grid.sigmas[time].float()
        z = x / (1 + sigma**2).sqrt()
        null = torch.full((3,), 5)
        output = transformer(z, timestep=torch.full((3,), time), class_labels=null).sample[:, :1]
        expected = scheduler.step(output, time, z).pred_original_sample
        found = model.denoise(x, sigma.expand(3))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_it_is_a_denoiser_with_a_null_class(model):
    assert isinstance(model, Denoiser)
    assert model.null_condition(4).tolist() == [5] * 4
    assert model.sample_shape == model.image_shape == (1, 8, 8)
    sigma = torch.full((2,), model.snap(1.0))
    x = torch.randn(2, 1, 8, 8)
    plain = model.denoise(x, sigma)
    assert torch.equal(model.denoise(x, sigma, torch.tensor([5, 5])), plain)
    assert not torch.allclose(model.denoise(x, sigma, torch.tensor([0, 1])), plain)


def test_a_model_without_label_dropout_is_refused(transformer, scheduler):
    bare = copy.deepcopy(transformer)
    for module in bare.modules():
        if isinstance(getattr(module, "embedding_table", None), torch.nn.Embedding):
            module.embedding_table = torch.nn.Embedding(5, 16)
    with pytest.raises(BadInputError, match=r"no null class: .* 5 rows for 5 classes"):
        build_dit(bare, scheduler)


def test_an_unknown_prediction_is_refused(transformer, scheduler):
    other = type(scheduler).from_config(scheduler.config, prediction_type="flow")
    with pytest.raises(BadInputError, match=r'"flow".*epsilon'):
        build_dit(transformer, other)


def test_default_sites_are_hidden_units_of_late_blocks_pooled_over_tokens(model):
    chosen = select_sites(model, model.default_sites)
    assert chosen == ("transformer_blocks.2.ff.net.2:in",)
    [site] = [site for site in sites(model) if site.name == chosen[0]]
    assert site.shape == (16, 64)  # tokens, hidden units
    assert site.calls == 1
    x, sigma = torch.randn(2, 1, 8, 8), torch.full((2,), model.snap(0.1))
    with capture(model, chosen, pooling="none", stop=False) as tape:
        model.denoise(x, sigma)
    [(_, hidden)] = tape.items()
    with capture(model, chosen, pooling="mean") as tape:
        model.denoise(x, sigma)
    [(_, pooled)] = tape.items()
    assert hidden.shape == (2, 16, 64)
    torch.testing.assert_close(pooled, hidden.mean(dim=1))


def test_a_latent_model_reads_pictures_of_its_vae(scheduler, vae):
    from diffusers import DiTTransformer2DModel

    transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2, sample_size=8,
        patch_size=2, num_embeds_ada_norm=5,
    ).eval()  # fmt: skip
    model = build_dit(transformer, scheduler, vae=vae)
    assert model.sample_shape == (4, 8, 8)
    assert model.image_shape == (3, 16, 16)
    assert model.encode(torch.rand(2, 3, 16, 16)).shape == (2, 4, 8, 8)


def test_it_is_scored_at_a_level_it_knows_whatever_the_batch(model):
    detector = build_default(model)
    assert detector.sigma == model.snap(0.1)
    images = torch.rand(7, 1, 8, 8)
    ids = content_ids(quantize(images))
    whole = detector.score(model, images, ids).values
    torch.testing.assert_close(
        detector.score(model, images, ids, batch=3).values, whole, rtol=2e-6, atol=0
    )
    between = float((model.grid.sigmas[3] * model.grid.sigmas[4]).sqrt())
    with pytest.raises(BadInputError, match="noise levels"):
        detector.model_copy(update={"sigma": between}).score(model, images, ids)
