"""Small images with few classes of content, and networks that are trained for a moment only."""

from functools import partial

import pytest
import torch

STEPS = 60
"""What is asked of these networks holds of any; those that must have learnt are trained apart."""


@pytest.fixture(scope="session")
def images():
    from equipoise.theory.regime import Images

    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(4, 16, generator=generator)
    shares = torch.rand(220, 4, generator=generator) ** 3
    X = (shares @ parts + 0.1 * torch.randn(220, 16, generator=generator)).tanh()
    return Images(X[:160], X[160:], "four parts, mixed")


@pytest.fixture(scope="session")
def nets(images):
    from equipoise.theory import regime
    from equipoise.theory.figures import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regime, "DRAWS", 500)
        for name in ("train_few", "train_many"):
            patch.setattr(network, name, partial(getattr(network, name), steps=STEPS))
        yield network.Networks(images, seed=0)
