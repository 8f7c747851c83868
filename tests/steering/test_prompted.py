import pytest
import torch

import equipoise as eq
from equipoise.denoisers import build_from_pipeline, guide
from equipoise.errors import BadInputError
from equipoise.sampling import SamplerSpec, draw_noise, sample_heun
from equipoise.steering.prompted import draw_references

SAMPLER = SamplerSpec(steps=3, sigma_min=0.05, sigma_max=10.0, guidance=3.0, batch=2)


@pytest.mark.slow
def test_every_prompt_is_drawn_from_the_noise_of_its_place_with_guidance(pipeline):
    denoiser = build_from_pipeline(pipeline)
    found = draw_references(denoiser, ["a", "b", "a"], sampler=SAMPLER, seed=5)
    sigmas = SAMPLER.list_sigmas(denoiser)
    for place, prompt in enumerate(["a", "b", "a"]):
        noise = draw_noise((4, 8, 8), seed=5, item_id=f"reference/{place:06d}", draw=0)
        cond = denoiser.encode_prompts([prompt])
        *_, last = sample_heun(guide(denoiser, 3.0), noise[None], sigmas, cond=cond)
        torch.testing.assert_close(found[place], denoiser.decode(last.x)[0], rtol=0, atol=1e-4)
    assert not torch.allclose(found[0], found[2], atol=1e-2)


@pytest.mark.slow
def test_a_concept_is_made_of_prompts_and_keeps_them(pipeline):
    vector = eq.concept(pipeline, positive=["a", "b"], negative=("c",), kind="pooled")
    assert vector.record.recipe["prompts"] == [["a", "b"], ["c"]]
    assert (vector.record.recipe["positive"], vector.record.recipe["negative"]) == (2, 1)


def test_a_model_without_prompts_and_no_prompts_are_refused(tiny_edm):
    with pytest.raises(BadInputError, match="takes no prompts"):
        eq.concept(tiny_edm, positive=["red"])
    with pytest.raises(BadInputError, match="at least one prompt"):
        draw_references(tiny_edm, [], sampler=SAMPLER, seed=0)
