import pytest
import torch

import equipoise as eq
from equipoise.denoisers.flux import pack, unpack
from equipoise.errors import BadInputError

from . import tiny

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def test_tokens_are_those_of_the_pipeline_and_come_back():
    from diffusers import FluxPipeline

    z = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pack(z), FluxPipeline._pack_latents(z, 2, 4, 6, 8))
    assert torch.equal(unpack(pack(z), 6, 8), z)


def test_guidance_is_told_to_a_distilled_network_and_refused_by_another():
    told, other = tiny.build_pipeline("flux-dev"), tiny.build_pipeline("flux-schnell")
    x, sigma = torch.ones(1, 4, 4, 4), torch.ones(1)
    default, stated, higher = (
        eq.load(told, size=(8, 8), **words).denoise(x, sigma)
        for words in ({}, {"guidance": 3.5}, {"guidance": 7.0})
    )
    assert torch.equal(default, stated)
    assert not torch.allclose(default, higher)
    with pytest.raises(BadInputError, match="told no guidance"):
        eq.load(other, guidance=3.5)
