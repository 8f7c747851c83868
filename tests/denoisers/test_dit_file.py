import pytest
import torch

from equipoise.denoisers import Denoiser
from equipoise.denoisers.dit_file import build_dit_file
from equipoise.errors import BadInputError

from .test_peebles import build


@pytest.fixture(scope="module")
def tensors():
    return build().state_dict()


def test_it_is_a_denoiser_that_knows_the_linear_schedule(tensors):
    model = build_dit_file(tensors, heads=3)
    assert isinstance(model, Denoiser)
    assert model.sample_shape == (4, 8, 8)
    assert model.image_shape == (3, 64, 64)
    assert model.null_condition(2).tolist() == [10, 10]
    assert model.snap(0.176) == pytest.approx(0.176, abs=1e-3)  # time 50, as published
    assert model.default_sites == ("blocks.2.mlp.fc2:in",)
    sigma = torch.full((2,), model.snap(0.5))
    x = torch.randn(2, 4, 8, 8)
    time = model.grid.find_time(sigma)
    z = x / (1 + sigma[:, None, None, None] ** 2).sqrt()
    answer = model.network(z, time, torch.tensor([10, 10]))[:, :4]
    torch.testing.assert_close(model.denoise(x, sigma), x - sigma[:, None, None, None] * answer)


def test_without_a_vae_latents_are_all_it_knows(tensors):
    model = build_dit_file(tensors, heads=3)
    with pytest.raises(BadInputError, match=r"cannot encode pictures.*vae=FOLDER"):
        model.encode(torch.rand(1, 3, 64, 64))
    with pytest.raises(BadInputError, match=r"cannot decode samples.*vae=FOLDER"):
        model.decode(torch.rand(1, 4, 8, 8))


@pytest.mark.parametrize("heads", [None, 5])
def test_a_width_that_was_never_published_must_say_its_heads(tensors, heads):
    with pytest.raises(BadInputError, match=r"width 24.*heads=N; published: 1152: 16"):
        build_dit_file(tensors, heads=heads)


def test_published_widths_have_their_heads():
    from equipoise.denoisers.dit_file import read_spec

    shapes = {
        "x_embedder.proj.weight": (384, 4, 2, 2), "pos_embed": (1, 256, 384),
        "y_embedder.embedding_table.weight": (1001, 384), "blocks.0.mlp.fc1.weight": (1536, 384),
        "blocks.11.mlp.fc1.weight": (1536, 384), "final_layer.linear.weight": (32, 384),
    }  # fmt: skip
    spec = read_spec({n: torch.empty(s, device="meta") for n, s in shapes.items()}, None)
    assert (spec.heads, spec.grid, spec.patch, spec.out_channels) == (6, 16, 2, 8)


def test_weights_of_something_else_are_refused(tensors):
    fewer = {name: t for name, t in tensors.items() if name != "blocks.1.attn.qkv.bias"}
    with pytest.raises(BadInputError, match=r"blocks\.1\.attn\.qkv\.bias"):
        build_dit_file(fewer, heads=3)
    with pytest.raises(BadInputError, match="not those of a DiT"):
        build_dit_file({"x_embedder.proj.weight": torch.ones(2, 2, 2, 2)}, heads=2)
