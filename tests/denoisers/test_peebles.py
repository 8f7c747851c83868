"""The published DiT, written again as functions, and as diffusers' own with its arithmetic set."""

import math

import pytest
import torch

from equipoise.denoisers.peebles import PeeblesDiT, PeeblesSpec

SPEC = PeeblesSpec(
    channels=4, out_channels=8, grid=4, patch=2, width=24, depth=3, heads=3, hidden=96, classes=11
)


def build():
    generator = torch.Generator().manual_seed(0)
    network = PeeblesDiT(SPEC).requires_grad_(False)
    for parameter in network.parameters():  # a fresh one would answer nothing
        spread = max(1, parameter.shape[-1]) ** -0.5
        parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(3, 4, 8, 8, generator=generator)
    return build(), z, torch.tensor([0, 421, 999]), torch.tensor([3, 10, 0])


def run_slowly(state, z, time, classes):
    """Patch by patch, head by head, in float64 but for the features of the time."""
    state = {name: tensor.double() for name, tensor in state.items()}
    frequencies = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
    angles = time.float()[:, None] * frequencies
    h = torch.cat([angles.cos(), angles.sin()], dim=1).double()
    c = affine(state, "t_embedder.mlp.2", silu(affine(state, "t_embedder.mlp.0", h)))
    c = silu(c + state["y_embedder.embedding_table.weight"][classes])
    kernel = state["x_embedder.proj.weight"]
    patches = [
        torch.einsum("bcpq,wcpq->bw", z[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], kernel)
        for i in range(4) for j in range(4)
    ]  # fmt: skip
    x = torch.stack(patches, 1) + state["x_embedder.proj.bias"] + state["pos_embed"]
    for block in range(SPEC.depth):
        name = f"blocks.{block}"
        parts = affine(state, f"{name}.adaLN_modulation.1", c).reshape(len(z), 6, 1, -1)
        b1, s1, g1, b2, s2, g2 = parts.unbind(1)
        qkv = affine(state, f"{name}.attn.qkv", normalize(x) * (1 + s1) + b1)
        query, key, value = qkv.reshape(len(z), 16, 3, 3, 8).unbind(2)
        weights = torch.einsum("bihu,bjhu->bhij", query, key) / 8**0.5
        seen = torch.einsum("bhij,bjhu->bihu", weights.softmax(3), value).reshape(len(z), 16, 24)
        x = x + g1 * affine(state, f"{name}.attn.proj", seen)
        h = affine(state, f"{name}.mlp.fc1", normalize(x) * (1 + s2) + b2)
        h = 0.5 * h * (1 + torch.tanh((2 / math.pi) ** 0.5 * (h + 0.044715 * h**3)))
        x = x + g2 * affine(state, f"{name}.mlp.fc2", h)
    parts = affine(state, "final_layer.adaLN_modulation.1", c).reshape(len(z), 2, 1, -1)
    shift, scale = parts.unbind(1)
    answer = affine(state, "final_layer.linear", normalize(x) * (1 + scale) + shift)
    picture = z.new_zeros(len(z), 8, 8, 8)
    for token in range(16):
        i, j = 2 * (token // 4), 2 * (token % 4)
        patch = answer[:, token].reshape(len(z), 2, 2, 8).permute(0, 3, 1, 2)
        picture[:, :, i : i + 2, j : j + 2] = patch
    return picture


def affine(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def silu(x):
    return x * torch.sigmoid(x)


def normalize(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def test_answers_are_those_of_the_paper_written_again(case):
    network, z, time, classes = case
    expected = run_slowly(network.state_dict(), z.double(), time, classes)
    found = network(z, time, classes)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def map_to_diffusers(state):
    """Rename official weights as diffusers' conversion does."""
    mapped = {
        "pos_embed.proj.weight": state["x_embedder.proj.weight"],
        "pos_embed.proj.bias": state["x_embedder.proj.bias"],
    }
    names = {
        "attn.proj": "attn1.to_out.0", "mlp.fc1": "ff.net.0.proj", "mlp.fc2": "ff.net.2",
        "adaLN_modulation.1": "norm1.linear",
    }  # fmt: skip
    shared = {
        "t_embedder.mlp.0": "timestep_embedder.linear_1",
        "t_embedder.mlp.2": "timestep_embedder.linear_2",
    }
    for block in range(SPEC.depth):
        old, new = f"blocks.{block}", f"transformer_blocks.{block}"
        for end in ("weight", "bias"):
            for a, b in names.items():
                mapped[f"{new}.{b}.{end}"] = state[f"{old}.{a}.{end}"]
            for part, piece in zip("qkv", state[f"{old}.attn.qkv.{end}"].chunk(3), strict=True):
                mapped[f"{new}.attn1.to_{part}.{end}"] = piece
            for a, b in shared.items():
                mapped[f"{new}.norm1.emb.{b}.{end}"] = state[f"{a}.{end}"]
        table = "class_embedder.embedding_table.weight"
        mapped[f"{new}.norm1.emb.{table}"] = state["y_embedder.embedding_table.weight"]
    for end in ("weight", "bias"):
        mapped[f"proj_out_1.{end}"] = state[f"final_layer.adaLN_modulation.1.{end}"]
        mapped[f"proj_out_2.{end}"] = state[f"final_layer.linear.{end}"]
    return mapped


@pytest.mark.slow
def test_diffusers_answers_the_same_when_its_frequencies_are_set_right_and_only_then(case):
    from diffusers import DiTTransformer2DModel

    network, z, time, classes = case
    other = DiTTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=3,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_eps=1e-6,
    ).eval()  # fmt: skip
    other.load_state_dict(map_to_diffusers(network.state_dict()), strict=True)
    other.pos_embed.pos_embed = network.pos_embed
    found = network(z, time, classes)
    with torch.no_grad():
        unset = other(z, timestep=time, class_labels=classes).sample
        for block in other.transformer_blocks:
            block.norm1.emb.time_proj.downscale_freq_shift = 0
        right = other(z, timestep=time, class_labels=classes).sample
    torch.testing.assert_close(right, found, rtol=1e-5, atol=1e-5)
    assert float((unset - found)[2].abs().max()) > 0.01
