import pytest
import torch

from equipoise.bench.generation import Seeds, Studio
from equipoise.images import quantize
from equipoise.sampling import sample_items
from equipoise.steering import build_vector
from equipoise.zoo.package import load_zoo


def test_seeds_are_taken_with_their_conditions():
    seeds = Seeds(["a", "b", "c"], torch.tensor([1, 9, 3]))
    taken = seeds.take([2, 0])
    assert (taken.ids, taken.conditions.tolist()) == (["c", "a"], [3, 1])
    assert Seeds(["a"], None).take([0]).conditions is None


@pytest.mark.slow
def test_strength_zero_is_the_models_own_sample_and_strips_are_single_runs():
    model = load_zoo("dit-fashion")
    ids = ["x/0", "x/1"]
    seeds = Seeds(ids, torch.tensor([4, 8]))
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    vector = build_vector(model.denoiser, images, name="t")
    studio = Studio(model, seed=5, steps=model.recipe.sampler.steps, window=(0, 99))
    strip = studio.draw(seeds, vector, [0.0, 1.0])
    alone = studio.draw(seeds.take([1]), vector, [1.0])
    each = studio.draw_each(seeds, [vector, -vector], 1.0)
    plain = studio.draw_plain(seeds)
    studio.close()
    own = sample_items(
        model.denoiser, ids, model.recipe.sampler.list_sigmas(model.denoiser), seed=5, batch=2,
        conditions=seeds.conditions,
    )  # fmt: skip
    assert torch.equal(plain, quantize(model.denoiser.decode(next(iter(own)))))
    for one, two in ((strip[0], plain), (strip[1, 1:], alone[0]), (each[0], strip[1])):
        assert int((one.int() - two.int()).abs().max()) <= 1
    assert int((strip[1].int() - plain.int()).abs().max()) > 20
    assert int((each[1].int() - each[0].int()).abs().max()) > 20
    assert studio.evaluations == (4 + 1 + 4 + 2) * 23
