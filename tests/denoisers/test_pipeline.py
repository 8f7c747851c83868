import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import equipoise as eq
from equipoise.denoisers import build_from_pipeline, load_pipeline
from equipoise.denoisers.pipeline import load_vae
from equipoise.errors import BadInputError, NonFiniteError, UnsafeFileError

from .ldm_names import to_single_file

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
    with pytest.raises(BadInputError, match=r"Cannot look into a .dict.: known are Stable"):
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


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("sd")
    pipeline.save_pretrained(path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_a_single_file_opens_offline_with_the_answers_of_its_folder(
    pipeline, folder, kind, tmp_path
):
    weights = to_single_file(pipeline)
    path = tmp_path / f"sd.{kind}"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save({"state_dict": weights, "global_step": 7, "epoch": 1}, path)
    live = eq.load(pipeline)
    opened = eq.load(path, config=folder, family="stable-diffusion")
    x, sigma = torch.randn(2, 4, 8, 8), torch.full((2,), live.snap(0.5))
    torch.testing.assert_close(opened.denoise(x, sigma), live.denoise(x, sigma))
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(opened.encode(images), live.encode(images))


def test_averaged_weights_of_a_single_file_are_preferred(pipeline, folder, tmp_path):
    weights = to_single_file(pipeline)
    both = dict(weights)
    for name, tensor in weights.items():
        if name.startswith("model.diffusion_model."):
            both["model_ema." + name.removeprefix("model.").replace(".", "")] = tensor
            both[name] = torch.zeros_like(tensor)
    save_file(both, tmp_path / "full.safetensors")
    live, opened = eq.load(pipeline), eq.load(tmp_path / "full.safetensors", config=folder)
    x, sigma = torch.randn(1, 4, 8, 8), torch.full((1,), live.snap(0.5))
    torch.testing.assert_close(opened.denoise(x, sigma), live.denoise(x, sigma))


def test_a_single_file_without_a_configuration_says_what_is_missing(pipeline, tmp_path):
    save_file(to_single_file(pipeline), tmp_path / "sd.safetensors")
    with pytest.raises(BadInputError, match=r"nothing is fetched\. Give config=FOLDER"):
        eq.load(tmp_path / "sd.safetensors")


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.middle_block.1.proj_in.bias",
        "first_stage_model.decoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.bias",
    ],
)
def test_a_single_file_must_be_whole_and_finite(pipeline, folder, name, tmp_path):
    weights = to_single_file(pipeline)
    broken = weights[name].clone()
    broken.view(-1)[0] = float("nan")
    save_file({**weights, name: broken}, tmp_path / "nan.safetensors")
    with pytest.raises(NonFiniteError):
        eq.load(tmp_path / "nan.safetensors", config=folder)
    del weights[name]
    save_file(weights, tmp_path / "less.safetensors")
    with pytest.raises(UnsafeFileError, match="asks for a network of"):
        eq.load(tmp_path / "less.safetensors", config=folder)


def test_a_folder_with_a_weight_that_is_not_finite_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "nan")
    path = tmp_path / "nan" / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["quant_conv.bias"][0] = float("inf")
    save_file(weights, path)
    with pytest.raises(NonFiniteError, match=r"quant_conv\.bias"):
        eq.load(tmp_path / "nan")


def test_a_folder_that_asks_for_more_than_its_files_hold_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "big")
    config = json.loads((tmp_path / "big" / "unet" / "config.json").read_text())
    config["block_out_channels"] = [8000, 160_000]
    (tmp_path / "big" / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsafeFileError, match=r"asks for a network of \d+ numbers"):
        eq.load(tmp_path / "big")


def test_the_vae_of_a_dit_file_comes_from_a_folder(folder):
    assert load_vae(folder / "vae").config.latent_channels == 4
