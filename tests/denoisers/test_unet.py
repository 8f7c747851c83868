import math

import torch
from torch.nn import functional

from equipoise.denoisers import UNet
from equipoise.denoisers.unet import NoiseEmbedding, ResidualBlock


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_fresh_network_outputs_zeros_and_every_block_is_its_skip():
    network = UNet(3, patch=2, channels=(8, 16), depth=2)
    assert not network(randn(2, 3, 8, 8), torch.zeros(2)).any()
    block = ResidualBlock(8, 8, 32)
    h = randn(2, 8, 4, 4)
    torch.testing.assert_close(block(h, randn(2, 32)), h / math.sqrt(2))


def test_a_residual_block_is_its_formula(tiny_edm):
    block = tiny_edm.network.up_blocks[0].resnets[0]  # 64 channels in, 32 out
    h, embedding = randn(2, 64, 4, 4), randn(2, 64, seed=1)
    groups = [functional.group_norm(h, 8, block.norm1.weight, block.norm1.bias)]
    inner = block.conv1(groups[0] * torch.sigmoid(groups[0]))
    inner = functional.group_norm(inner, 4, block.norm2.weight, block.norm2.bias)
    modulation = embedding @ block.modulation.weight.T + block.modulation.bias
    inner = inner * (1 + modulation[:, :32, None, None]) + modulation[:, 32:, None, None]
    expected = (block.skip(h) + block.conv2(inner * torch.sigmoid(inner))) / math.sqrt(2)
    torch.testing.assert_close(block(h, embedding), expected, rtol=1e-4, atol=1e-4)


def test_samples_of_a_batch_do_not_touch_each_other(tiny_edm):
    x, c_noise = randn(5, 1, 16, 16), randn(5, seed=1) / 2
    together = tiny_edm.network(x, c_noise)
    for row in range(5):
        alone = tiny_edm.network(x[row : row + 1], c_noise[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_the_noise_level_and_every_pixel_matter(tiny_edm):
    x = randn(1, 1, 16, 16).requires_grad_()
    c_noise = torch.zeros(1, requires_grad=True)
    tiny_edm.network(x, c_noise)[0, 0, 8, 8].backward()
    assert c_noise.grad.abs() > 1e-4
    assert (x.grad.abs() > 0).float().mean() > 0.9


def test_every_parameter_is_used():
    network = UNet(1, patch=2, channels=(8, 16), depth=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * randn(*parameter.shape))
    network(randn(2, 1, 8, 8), torch.zeros(2)).square().sum().backward()
    unused = [n for n, w in network.named_parameters() if w.grad is None or not w.grad.any()]
    assert unused == []


def test_names_follow_diffusers():
    network = UNet(1, patch=2, channels=(8, 16, 24), depth=2)
    names = dict(network.named_modules())
    assert {f"down_blocks.{i}.resnets.1.conv2" for i in range(3)} <= set(names)
    assert {f"up_blocks.{i}.resnets.2.conv1" for i in range(3)} <= set(names)
    assert {"mid_block.resnets.0.norm1", "down_blocks.0.downsamplers.0.conv"} <= set(names)
    assert names["up_blocks.0.resnets.0"].conv2.out_channels == 24  # lowest resolution first
    assert names["up_blocks.2.resnets.2"].conv2.out_channels == 8


def test_noise_features_tell_levels_apart():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = NoiseEmbedding(32)
    levels = torch.linspace(-1.6, 1.1, 40)
    gaps = torch.cdist(embedding(levels), embedding(levels)) + torch.eye(40)
    assert gaps.min() > 1e-3
