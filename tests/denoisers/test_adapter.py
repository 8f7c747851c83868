import json

import pytest
import torch
from safetensors.torch import save_file

import equipoise as eq
from equipoise.checkpoints.lora import Lora, LowRank, read_lora
from equipoise.denoisers import fingerprint
from equipoise.denoisers.adapter import apply_lora
from equipoise.errors import BadInputError

from . import tiny

SITE = "up_blocks.0.resnets.0.conv2"


def build_lora(network, name=SITE, *, seed=0):
    weight = network.get_submodule(SITE).weight
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(2, *weight.shape[1:], generator=generator)
    up = torch.randn(len(weight), 2, 1, 1, generator=generator)
    return Lora({name: LowRank(down, up, 0.5)}, left_out=0)


@pytest.mark.parametrize("name", [SITE, SITE.replace(".", "_")])
def test_the_change_is_added_at_its_scale_and_the_base_stays(tiny_edm, name):
    before = fingerprint(tiny_edm)
    lora = build_lora(tiny_edm.network, name)
    weight = tiny_edm.network.get_submodule(SITE).weight
    adapted = apply_lora(tiny_edm, lora, scale=0.25)
    change = (adapted.network.get_submodule(SITE).weight - weight).flatten(1)
    torch.testing.assert_close(change, 0.25 * lora.parts[name].build_change())
    assert fingerprint(tiny_edm) == before != fingerprint(adapted)
    assert fingerprint(apply_lora(tiny_edm, lora, scale=0.0)) == before


def test_a_lora_of_another_model_is_refused_and_the_closest_module_named(tiny_edm):
    lora = build_lora(tiny_edm.network, "up_blocks.0.resnets.9.conv2")
    with pytest.raises(BadInputError, match=r"resnets\.0\.conv2"):
        apply_lora(tiny_edm, lora)
    part = LowRank(torch.zeros(2, 3), torch.zeros(7, 2), 1.0)
    with pytest.raises(BadInputError, match="another size"):
        apply_lora(tiny_edm, Lora({SITE: part}, left_out=0))


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["diffusers", "peft"])
def test_a_lora_of_peft_computes_as_peft_itself_does(writer, tmp_path):
    peft = pytest.importorskip("peft")
    from diffusers import StableDiffusionPipeline

    base = eq.load(tiny.build_stable_diffusion_2())
    pipeline = tiny.build_stable_diffusion_2()
    words = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_out.0", "conv1"]}
    pipeline.unet.add_adapter(peft.LoraConfig(**words, init_lora_weights=False))
    state = peft.get_peft_model_state_dict(pipeline.unet)
    if writer == "diffusers":
        told = peft.LoraConfig(**words).to_dict()
        StableDiffusionPipeline.save_lora_weights(
            tmp_path, unet_lora_layers=state,
            unet_lora_adapter_metadata={k: told[k] for k in ("r", "lora_alpha")},
        )  # fmt: skip
    else:
        save_file(state, tmp_path / "adapter_model.safetensors")
        (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8}))
    model = apply_lora(base, read_lora(tmp_path))
    x = torch.randn(2, *base.sample_shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((2,), base.snap(0.5))
    expected = eq.load(pipeline).denoise(x, sigma)
    torch.testing.assert_close(model.denoise(x, sigma), expected)
    assert not torch.allclose(base.denoise(x, sigma), expected, atol=1e-3)
