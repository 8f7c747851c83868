"""What several rooms' tests need. equipoise is imported late, so that its shapes are checked."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

torch.set_num_threads(1)


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
