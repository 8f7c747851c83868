"""What several rooms' tests need. equipoise is imported late, so that its shapes are checked."""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# No test asserts wall time, and what passed once passes again.
settings.register_profile("equipoise", deadline=None, derandomize=True)
settings.load_profile("equipoise")


@pytest.fixture(autouse=True)
def _seed():
    """Begin every test at the same random state, whatever ran before it in its process."""
    torch.manual_seed(0)


def perturb(network, *, seed):
    """Give every parameter seeded random values; a fresh UNet outputs nothing but zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = 0.1 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return network.requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_edm():
    from equipoise.denoisers import EdmDenoiser, UNet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(1, patch=2, channels=(16, 32), depth=1)
    return EdmDenoiser(
        perturb(network, seed=1),
        sample_shape=(1, 16, 16),
        data_std=0.5,
        default_sites=("up_blocks.0.resnets.*.conv2:in",),
    )


def _shake(module, *, seed):
    """Give every parameter seeded noise: a fresh transformer outputs nothing but zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval().requires_grad_(False)


def build_tokenizer(folder):
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )


@pytest.fixture(scope="session")
def shake():
    return _shake


@pytest.fixture(scope="session")
def scheduler():
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def vae():
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4, sample_size=16, scaling_factor=0.5,
        )  # fmt: skip
    return _shake(model, seed=2)


@pytest.fixture(scope="session")
def pipeline(vae, scheduler, tmp_path_factory):
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = build_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), layers_per_block=1,
            cross_attention_dim=12, attention_head_dim=2, norm_num_groups=4,
        )  # fmt: skip
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=12,
                intermediate_size=24,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=16,
            )
        )
    return StableDiffusionPipeline(
        vae=vae, text_encoder=_shake(text, seed=4), tokenizer=tokenizer, unet=_shake(unet, seed=3),
        scheduler=scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
