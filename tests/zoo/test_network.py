import pytest
import torch
from safetensors.torch import load_file, save_file

from equipoise.errors import BadInputError
from equipoise.zoo.network import build_denoiser, load_weights, locate_weights, save_weights
from equipoise.zoo.package import MODELS, load_zoo
from equipoise.zoo.recipe import DitRecipe, EdmRecipe

RECIPE = EdmRecipe(name="test", channels=(8, 16))
DIT = DitRecipe(name="test-dit", width=32, depth=2)


def test_weights_of_another_shape_or_with_nan_are_refused(tmp_path):
    model = load_zoo("edm-fashion")
    state = load_file(MODELS / "edm-fashion" / "model.safetensors")
    save_file({"conv_in.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match="does not hold the weights"):
        load_weights(model.denoiser, tmp_path / "other.safetensors")
    state["conv_in.bias"][0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match=r"conv_in\.bias"):
        load_weights(model.denoiser, tmp_path / "nan.safetensors")


def test_half_precision_on_disk_is_rounded_once_and_computes_in_single(tmp_path):
    denoiser = build_denoiser(RECIPE, 0.5)
    expected = {k: w.half().float() for k, w in denoiser.network.state_dict().items()}
    path = locate_weights(RECIPE, tmp_path)
    save_weights(denoiser, path, stored="float16")
    load_weights(denoiser, path)
    assert {w.dtype for w in load_file(path).values()} == {torch.float16}
    for name, weights in denoiser.network.state_dict().items():
        assert weights.dtype == torch.float32
        assert torch.equal(weights, expected[name])


@pytest.mark.slow
def test_the_folder_of_a_dit_is_one_of_diffusers(tmp_path):
    """Stock diffusers opens it and computes what our denoiser computes."""
    from diffusers import DDIMScheduler, DiTTransformer2DModel

    from equipoise.zoo.network import write_configs

    denoiser = build_denoiser(DIT, 0.5)
    with torch.no_grad():
        for weights in denoiser.network.parameters():
            weights.add_(0.05 * torch.randn_like(weights))
    save_weights(denoiser, locate_weights(DIT, tmp_path), stored="float32")
    write_configs(DIT, denoiser, tmp_path)
    transformer = DiTTransformer2DModel.from_pretrained(
        tmp_path / "transformer", low_cpu_mem_usage=False
    )
    scheduler = DDIMScheduler.from_pretrained(tmp_path / "scheduler")
    scheduler.set_timesteps(10)
    time = 400
    alpha = scheduler.alphas_cumprod[time].sqrt()
    sigma = float((1 - alpha**2).sqrt() / alpha)
    z = torch.randn(2, 1, 16, 16)
    classes = torch.tensor([3, 10])
    with torch.no_grad():
        v = transformer(z, timestep=torch.tensor([time] * 2), class_labels=classes).sample
        found = denoiser.denoise(z / alpha, torch.full((2,), sigma), classes)
    expected = scheduler.step(v, time, z).pred_original_sample
    torch.testing.assert_close(found.clamp(-1, 1), expected, rtol=1e-4, atol=1e-4)
