import pytest
import torch

import equipoise as eq

from . import tiny

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.mark.parametrize("zeros", [True, False])
def test_the_empty_condition_is_what_the_pipeline_guides_away_from(zeros):
    pipeline = tiny.build_stable_diffusion_xl()
    pipeline.register_to_config(force_zeros_for_empty_prompt=zeros)
    model = eq.load(pipeline, size=(16, 24))
    parts = model.layout.unpack(model.null_condition(2))
    assert bool((parts["text"] == 0).all()) == zeros
    assert bool((parts["pooled"] == 0).all()) == zeros
    assert parts["size"].tolist() == [[16, 24, 0, 0, 16, 24]] * 2
    asked = model.layout.unpack(model.encode_prompts([""]))
    assert torch.equal(asked["text"][0], parts["text"][0]) != zeros
