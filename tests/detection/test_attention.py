"""Attention entropy against attention made by hand, and against diffusers' own processor."""

import math

import pytest
import torch

from equipoise.detection import AttentionEntropy, find_obstacle
from equipoise.detection.attention import measure_entropy
from equipoise.detection.card import list_cross_attention
from equipoise.errors import BadInputError
from equipoise.sampling import draw_noise


def test_even_attention_has_the_largest_entropy_and_one_token_has_none():
    q = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    even = measure_entropy(q, torch.zeros(1, 7, 8), heads=2)
    assert float(even[0]) == pytest.approx(math.log(7))
    keys = torch.zeros(1, 7, 8)
    keys[0, 3] = 1000.0
    assert float(measure_entropy(q.abs(), keys, heads=2)[0]) == pytest.approx(0, abs=1e-9)


def test_two_heads_by_hand():
    """Head 1 looks at token 0 with logit log 3, head 2 evenly: mean (.75 + .5, .25 + .5) / 2."""
    q = torch.tensor([[[2.0, 0.0, 1.0, 0.0]]])
    k = torch.tensor([[[math.log(3) / 2 * 2**0.5, 0.0, 0.0, 0.0], [0.0] * 4]])
    a = torch.tensor([0.625, 0.375])
    expected = float(-(a * a.log()).sum())
    assert float(measure_entropy(q, k, heads=2)[0]) == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def model():
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from equipoise.denoisers.codec import PixelCodec
    from equipoise.denoisers.level import NoiseGrid
    from equipoise.denoisers.stable_diffusion import _call
    from equipoise.denoisers.timed import TimedDenoiser

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), cross_attention_dim=12,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), layers_per_block=1,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=2,
            norm_num_groups=4,
        )  # fmt: skip
        empty = torch.randn(1, 5, 12)
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=8.5e-4, beta_end=0.012)
    return TimedDenoiser(
        network=unet.eval().requires_grad_(False), call=_call, prediction="eps",
        grid=NoiseGrid.from_alphas(scheduler.alphas_cumprod), codec=PixelCodec(), empty=empty,
        sample_shape=(4, 8, 8), image_shape=(4, 8, 8), data_std=1.0, default_sites=(),
    )  # fmt: skip


@pytest.mark.slow
def test_the_layer_is_the_one_diffusers_runs(model):
    """A processor that keeps the probabilities, in place of the model's own, on a copy."""
    import copy

    from diffusers.models.attention_processor import Attention

    sigma = model.snap(80.0)
    prompts = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    layers = list_cross_attention(model)
    detector = AttentionEntropy(sigma=sigma, layer=1, draws=1)
    found = detector.score(model, torch.rand(2, 4, 8, 8), ["a", "b"], conditions=prompts)
    network = copy.deepcopy(model.network)
    kept = []

    class Keep:
        def __call__(self, attn: Attention, hidden_states, encoder_hidden_states=None, **_):
            q = attn.head_to_batch_dim(attn.to_q(hidden_states))
            k = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
            v = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
            A = attn.get_attention_scores(q, k)
            kept.append(A.mean(dim=(0, 1)))
            return attn.to_out[0](attn.batch_to_head_dim(A @ v))

    network.get_submodule(layers[1]).set_processor(Keep())
    eps = draw_noise((4, 8, 8), seed=0, item_id="b", draw=0)
    z = sigma * eps[None] / (1 + sigma**2) ** 0.5
    network(z, model.grid.find_time(torch.tensor([sigma])), prompts[1:])
    A = kept[0].double()
    assert float(found.values[1]) == pytest.approx(float(-(A * A.log()).sum()), rel=1e-5)


@pytest.mark.slow
def test_models_and_layers_without_it_are_refused(model, tiny_edm):
    detector = AttentionEntropy(sigma=model.snap(80.0), layer=9)
    assert find_obstacle(detector.card, model) is None
    assert "takes none" in str(find_obstacle(detector.card, tiny_edm))
    prompts = torch.randn(1, 5, 12)
    with pytest.raises(BadInputError, match="no cross-attention layer 9"):
        detector.score(model, torch.rand(1, 4, 8, 8), ["a"], conditions=prompts)
