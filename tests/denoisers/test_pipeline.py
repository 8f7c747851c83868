import sys

import pytest
import torch

import equipoise as eq
from equipoise.denoisers import build_from_pipeline, load_pipeline
from equipoise.errors import BadInputError

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def test_a_saved_pipeline_opens_again_with_the_same_answers(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "sd")
    live, opened = eq.load(pipeline), eq.load(str(tmp_path / "sd"))
    x, sigma = torch.randn(2, 4, 8, 8), torch.full((2,), live.snap(0.5))
    torch.testing.assert_close(opened.denoise(x, sigma), live.denoise(x, sigma))
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(
        eq.spikiness(opened, images).values, eq.spikiness(live, images).values
    )


def test_a_dit_pipeline_opens_too(scheduler, vae, tmp_path):
    from diffusers import DiTPipeline, DiTTransformer2DModel

    transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2, sample_size=8,
        patch_size=2, num_embeds_ada_norm=5,
    )  # fmt: skip
    DiTPipeline(transformer, vae, scheduler).save_pretrained(tmp_path / "dit")
    model = eq.load(tmp_path / "dit")
    assert model.image_shape == (3, 16, 16)
    assert model.default_sites == ("transformer_blocks.1.ff.net.2:in",)


def test_another_family_is_refused_and_the_known_ones_named():
    with pytest.raises(BadInputError, match=r"Cannot look into a dict: .*StableDiffusionPipeline"):
        build_from_pipeline({})


def test_weights_that_are_a_pickle_are_refused(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "sd", safe_serialization=False)
    with pytest.raises(BadInputError, match="cannot be opened as a pipeline"):
        load_pipeline(tmp_path / "sd")


def test_a_missing_package_says_what_to_install(monkeypatch, tmp_path):
    for name in ("diffusers", "diffusers.pipelines.pipeline_utils"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInputError, match=r"equipoise\[diffusers\]"):
        load_pipeline(tmp_path)
