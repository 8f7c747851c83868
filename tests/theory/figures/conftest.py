"""Small images with few classes of content, and networks that are trained for a moment only."""

import pytest
import torch


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
    from equipoise.theory.figures.network import Networks

    before, regime.DRAWS = regime.DRAWS, 500
    yield Networks(images, seed=0)
    regime.DRAWS = before
