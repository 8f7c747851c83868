from dataclasses import replace

import pytest
import torch

from equipoise.guarding.sampler import SamplerSource
from equipoise.guarding.watch import Watch
from equipoise.sampling import draw_choices, sample_items


def quiet():
    return Watch((), pooling="max", sigmas=())


def test_a_request_makes_what_the_sampler_makes_batch_by_batch(subject):
    ids = [f"item/{row}" for row in range(20)]
    requests = SamplerSource(subject).ask(ids, seed=3)
    assert [len(request.seeds) for request in requests] == [16, 4]
    assert requests[1].seeds[0] == "3|item/16"
    assert requests[0].prompts == [None] * 16
    assert not requests[0].is_conditioned(told=True)
    parts = [request.run(quiet()) for request in requests]
    sigmas = subject.sampler.list_sigmas(subject.denoiser)
    direct = torch.cat(list(sample_items(subject.denoiser, ids, sigmas, seed=3, batch=16)))
    assert torch.equal(torch.cat([part.x0 for part in parts]), direct)
    images = torch.stack([image for part in parts for image in part.images])
    assert torch.equal(images, subject.denoiser.decode(direct))


def test_asked_again_the_noise_is_another_and_the_condition_the_same(subject):
    classed = replace(
        subject, draw_conditions=lambda ids, seed: draw_choices(10, seed=seed, item_ids=ids)
    )
    (request,) = SamplerSource(classed).ask(["a", "b", "c"], seed=3)
    assert request.is_conditioned(told=False)
    again = request.again([2, 0], 1)
    assert again.prompts == [request.prompts[2], request.prompts[0]]
    assert set(again.seeds).isdisjoint(request.seeds)
    assert set(again.seeds).isdisjoint(request.again([2, 0], 2).seeds)


@pytest.mark.slow  # diffusers takes seconds to import
@pytest.mark.parametrize("told", [False, True])
def test_a_guided_sampler_is_guided_under_the_guard_and_the_half_read_that_is_meant(
    dit_subject, told
):
    from equipoise.representation import observe

    site = "transformer_blocks.2.ff.net.2:in"
    ids = ["a", "b", "c"]
    (request,) = SamplerSource(dit_subject).ask(ids, seed=3)
    assert request.is_conditioned(told=told) == told
    given, network = [], dit_subject.denoiser.network
    handle = network.register_forward_pre_hook(
        lambda _, args, words: given.append((args[0], words["timestep"])), with_kwargs=True
    )
    watch = Watch((site,), pooling="mean", sigmas=None, told=told)
    made = request.run(watch).x0
    handle.remove()
    asked = dit_subject.find_conditions(ids, seed=3)
    direct = torch.cat(list(dit_subject.sample(ids, seed=3, conditions=asked)))
    assert torch.equal(made, direct)
    z, time = given[-1]
    sigma = dit_subject.denoiser.grid.sigmas[time[:3]].float()
    x = z[:3] * (1 + sigma**2).sqrt()[:, None, None, None]
    seen = observe(
        dit_subject.denoiser, x, sigma, (site,), pooling="mean", cond=asked if told else None
    )[site].tensor
    last = watch.seen[min(watch.seen)][-1]
    assert last.shape == (3, seen.shape[1])
    torch.testing.assert_close(last.float(), seen, rtol=1e-4, atol=1e-5)


@pytest.fixture
def dit_subject(scheduler, shake):
    from diffusers import DiTTransformer2DModel

    from equipoise.auditing.subject import Subject
    from equipoise.denoisers import build_dit
    from equipoise.sampling import SamplerSpec

    transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=1, out_channels=1,
        num_layers=3, sample_size=8, patch_size=2, num_embeds_ada_norm=5,
    )  # fmt: skip
    denoiser = build_dit(shake(transformer, seed=1), scheduler)
    sampler = SamplerSpec(steps=4, sigma_min=0.05, sigma_max=10.0, batch=8, guidance=3.0)
    return Subject(
        "dit", denoiser, sampler, lambda ids, seed: draw_choices(5, seed=seed, item_ids=ids), None
    )
