"""What goes in and comes out of modules may be nested; the rest: `test_application.py`."""

import pytest
import torch
from torch import nn

from equipoise.denoisers import wrap
from equipoise.steering import build_vector, steer

X, SIGMA = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.ones(2)


class Place(nn.Module):
    """Takes a tensor by name and gives it back inside something."""

    def __init__(self, pack):
        super().__init__()
        self.pack = pack

    def forward(self, scale, *, h):
        return self.pack(scale * h)


class Network(nn.Module):
    def __init__(self, pack, unpack):
        super().__init__()
        self.place, self.unpack = Place(pack), unpack

    def forward(self, x, sigma):
        return self.unpack(self.place(2.0, h=x))


PACKED = {
    "tensor": (lambda h: h, lambda out: out),
    "tuple": (lambda h: ("note", h, h), lambda out: out[1]),
    "list": (lambda h: [h, None], lambda out: out[0]),
    "mapping": (lambda h: {"sample": h, "note": 1}, lambda out: out["sample"]),
}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize(("side", "gain"), [("in", 2), ("out", 1)])
def test_the_first_tensor_is_steered_however_it_is_packed(packed, side, gain):
    model = wrap(Network(*PACKED[packed]), sample_shape=(1, 4, 4), data_std=0.5)
    vector = build_vector(model, torch.rand(3, 1, 4, 4), name="t", patterns=f"place:{side}")
    plain = model.denoise(X, SIGMA)
    with steer(model, vector, strength=[1.0, 0.0]):
        found = model.denoise(X, SIGMA)
    expected = gain * vector.tensors[f"place:{side}"][0]
    torch.testing.assert_close(found[0] - plain[0], expected)
    assert torch.equal(found[1], plain[1])
