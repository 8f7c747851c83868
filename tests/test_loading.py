import pytest

import equipoise as eq
from equipoise.errors import BadInputError


def test_load_takes_zoo_names_and_denoisers_and_refuses_the_rest(tiny_edm):
    assert eq.load("zoo:edm-fashion").sample_shape == (1, 16, 16)
    assert eq.load(tiny_edm) is tiny_edm
    with pytest.raises(BadInputError, match="zoo:NAME"):
        eq.load("CompVis/stable-diffusion-v1-4")
    with pytest.raises(BadInputError, match="abacus"):
        eq.load("zoo:edm-fashion", device="abacus")


def test_loading_leaves_the_zoo_weights_frozen():
    assert not any(w.requires_grad for w in eq.load("zoo:edm-fashion").network.parameters())
