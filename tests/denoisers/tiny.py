"""Tiny pipelines of every family, with random weights and tokenizers made here."""

import json
import string
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

LETTERS = string.ascii_lowercase


def shake(module, *, seed):
    """Give every parameter seeded noise: a fresh transformer outputs nothing but zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval().requires_grad_(False)


def build(kind, *, seed, **words):
    """Build a network with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return shake(kind(**words), seed=seed)


@cache
def build_clip_tokenizer():
    from transformers import CLIPTokenizer

    folder = Path(mkdtemp())
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )


@cache
def build_t5_tokenizer():
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -2.0)]
    words += [(letter, -3.0) for letter in LETTERS]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=512)


def build_clip(width, *, seed, projection=None):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(build_clip_tokenizer()), hidden_size=width, intermediate_size=2 * width,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16,
        bos_token_id=52, eos_token_id=53, projection_dim=projection or 512,
    )  # fmt: skip
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    return build(kind, seed=seed, config=config)


def build_t5(width, *, seed):
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(build_t5_tokenizer()), d_model=width, d_kv=4, d_ff=2 * width, num_layers=1,
        num_heads=2, dropout_rate=0.0,
    )  # fmt: skip
    return build(T5EncoderModel, seed=seed, config=config)


class WordIds:
    """What FLUX.2 asks of its processor: the words of a chat as numbers of letters."""

    def apply_chat_template(self, chats, *, max_length, **_):
        ids = torch.zeros(len(chats), max_length, dtype=torch.long)
        for row, chat in zip(ids, chats, strict=True):
            told = "".join(part["text"] for part in chat[-1]["content"])
            row[: len(told)] = torch.tensor([1 + ord(letter) % 27 for letter in told])
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}


@cache
def build_qwen_tokenizer():
    from transformers import Qwen2Tokenizer

    words = [*LETTERS, "\u0120", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return Qwen2Tokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=[], pad_token="<|endoftext|>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )  # fmt: skip


def build_qwen(width, *, seed):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(build_qwen_tokenizer()), hidden_size=width, intermediate_size=width,
        num_hidden_layers=27, num_attention_heads=2, num_key_value_heads=2, head_dim=4,
    )  # fmt: skip
    return build(Qwen3ForCausalLM, seed=seed, config=config)


def build_mistral(width, *, seed):
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=30, hidden_size=width, intermediate_size=width, num_hidden_layers=30,
        num_attention_heads=2, num_key_value_heads=2, head_dim=4,
    )  # fmt: skip
    return build(MistralForCausalLM, seed=seed, config=config)


def build_vae_2():
    from diffusers import AutoencoderKLFlux2

    vae = build(
        AutoencoderKLFlux2, seed=2, latent_channels=4, block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1, norm_num_groups=4, sample_size=16,
    )  # fmt: skip
    vae.bn.running_mean += torch.linspace(-0.5, 0.5, 16)
    vae.bn.running_var *= torch.linspace(0.5, 2.0, 16)
    return vae


def build_vae(channels, **words):
    from diffusers import AutoencoderKL

    return build(
        AutoencoderKL, seed=2, in_channels=3, out_channels=3, latent_channels=channels,
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, sample_size=16,
        scaling_factor=0.5, **words,
    )  # fmt: skip


def build_ddim(**words):
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, **words,
    )  # fmt: skip


def build_flow(**words):
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**words)


def build_unet(width, **words):
    from diffusers import UNet2DConditionModel

    return build(
        UNet2DConditionModel, seed=3, sample_size=8, in_channels=4, out_channels=4,
        block_out_channels=(8, 16), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), layers_per_block=1,
        cross_attention_dim=width, attention_head_dim=2, norm_num_groups=4,
        use_linear_projection=True, **words,
    )  # fmt: skip


def build_stable_diffusion_2():
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=build_vae(4), text_encoder=build_clip(12, seed=4), tokenizer=build_clip_tokenizer(),
        unet=build_unet(12), scheduler=build_ddim(prediction_type="v_prediction"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def build_stable_diffusion_xl():
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    unet = build_unet(
        20, addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=10 + 6 * 4,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=build_vae(4), text_encoder=build_clip(12, seed=4),
        text_encoder_2=build_clip(8, seed=5, projection=10), tokenizer=build_clip_tokenizer(),
        tokenizer_2=build_clip_tokenizer(), unet=unet, scheduler=scheduler,
    )  # fmt: skip


def build_pixart(kind, *, side):
    import diffusers

    transformer = build(
        diffusers.PixArtTransformer2DModel, seed=3, num_attention_heads=2, attention_head_dim=12,
        in_channels=4, out_channels=8, num_layers=3, cross_attention_dim=24, sample_size=side,
        patch_size=2, caption_channels=12,
    )  # fmt: skip
    return getattr(diffusers, kind)(
        tokenizer=build_t5_tokenizer(), text_encoder=build_t5(12, seed=4), vae=build_vae(4),
        transformer=transformer, scheduler=diffusers.DPMSolverMultistepScheduler(),
    )  # fmt: skip


def build_stable_diffusion_3():
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = build(
        SD3Transformer2DModel, seed=3, sample_size=8, patch_size=2, in_channels=4, out_channels=4,
        num_layers=3, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=24,
        caption_projection_dim=16, pooled_projection_dim=18, pos_embed_max_size=16,
        dual_attention_layers=(0,), qk_norm="rms_norm",
    )  # fmt: skip
    clip = build_clip_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=build_flow(shift=3.0),
        vae=build_vae(4, shift_factor=0.1), text_encoder=build_clip(12, seed=4, projection=10),
        tokenizer=clip, text_encoder_2=build_clip(12, seed=5, projection=8), tokenizer_2=clip,
        text_encoder_3=build_t5(24, seed=6), tokenizer_3=build_t5_tokenizer(),
    )  # fmt: skip


def build_flux(**words):
    from diffusers import FluxPipeline, FluxTransformer2DModel

    transformer = build(
        FluxTransformer2DModel, seed=3, patch_size=1, in_channels=16, num_layers=3,
        num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=12,
        pooled_projection_dim=8, axes_dims_rope=(4, 4, 8), **words,
    )  # fmt: skip
    return FluxPipeline(
        scheduler=build_flow(use_dynamic_shifting=True), vae=build_vae(4, shift_factor=0.1),
        text_encoder=build_clip(8, seed=4), tokenizer=build_clip_tokenizer(),
        text_encoder_2=build_t5(12, seed=5), tokenizer_2=build_t5_tokenizer(),
        transformer=transformer,
    )  # fmt: skip


def build_flux2(kind, encoder, tokenizer, **words):
    import diffusers

    transformer = build(
        diffusers.Flux2Transformer2DModel, seed=3, in_channels=16, num_layers=3,
        num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=24,
        timestep_guidance_channels=8, axes_dims_rope=(4, 4, 4, 4), **words,
    )  # fmt: skip
    return getattr(diffusers, kind)(
        scheduler=build_flow(use_dynamic_shifting=True), vae=build_vae_2(), text_encoder=encoder,
        tokenizer=tokenizer, transformer=transformer,
    )  # fmt: skip


BUILDERS = {
    "stable-diffusion-2": build_stable_diffusion_2,
    "stable-diffusion-xl": build_stable_diffusion_xl,
    # Alpha is told the size of the picture where its latents are 128 wide.
    "pixart-alpha": lambda: build_pixart("PixArtAlphaPipeline", side=128),
    "pixart-sigma": lambda: build_pixart("PixArtSigmaPipeline", side=8),
    "stable-diffusion-3": build_stable_diffusion_3,
    "flux-dev": lambda: build_flux(guidance_embeds=True),
    "flux-schnell": lambda: build_flux(guidance_embeds=False),
    "flux-2": lambda: build_flux2("Flux2Pipeline", build_mistral(8, seed=4), WordIds()),
    "flux-2-klein": lambda: build_flux2(
        "Flux2KleinPipeline", build_qwen(8, seed=4), build_qwen_tokenizer(), guidance_embeds=False
    ),
}


@cache
def build_pipeline(name):
    """Build a pipeline once; it is not to be changed."""
    pipeline = BUILDERS[name]()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
