"""Answers and conditions are tested through `test_snapshot`."""

import torch
from torch import nn

from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.preconditioning import EdmPreconditioning


class Zero(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x, c_noise, classes):
        assert classes is None
        return self.weight * torch.cat([x, x], dim=1)


def test_a_network_that_answers_nothing_leaves_the_shrunk_picture():
    model = PreconditionedDenoiser(Zero(), EdmPreconditioning(0.5), (1, 2, 2), 0, ())
    x = torch.ones(2, 1, 2, 2, dtype=torch.float64)
    found = model.denoise(x, torch.tensor([0.5, 1.0]))
    assert found.dtype == x.dtype
    torch.testing.assert_close(found[:, 0, 0, 0], torch.tensor([0.5, 0.2]).double())
    assert model.to("cpu", torch.bfloat16).denoise(x, torch.ones(2)).dtype == x.dtype
    torch.testing.assert_close(model.decode(model.encode(x)), x)
