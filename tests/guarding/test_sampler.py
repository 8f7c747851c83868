from dataclasses import replace

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
    assert not requests[0].conditioned
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
    assert request.conditioned
    again = request.again([2, 0], 1)
    assert again.prompts == [request.prompts[2], request.prompts[0]]
    assert set(again.seeds).isdisjoint(request.seeds)
    assert set(again.seeds).isdisjoint(request.again([2, 0], 2).seeds)
