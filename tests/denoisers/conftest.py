"""A tiny DiT in diffusers' format, with seeded random weights."""

import pytest
import torch


@pytest.fixture(scope="session")
def transformer(shake):
    from diffusers import DiTTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=1, out_channels=2,
            num_layers=3, sample_size=8, patch_size=2, num_embeds_ada_norm=5,
        )  # fmt: skip
    return shake(model, seed=1)
