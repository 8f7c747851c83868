import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.sampling import SamplerSpec, build_sigmas, sample_items, sample_multistep


class Coarse(GaussianDenoiser):
    """Knows whole noise levels only."""

    def snap(self, sigma):
        return float(max(1, round(sigma)))


def test_a_model_that_knows_all_levels_gets_those_of_the_paper(tiny_edm):
    spec = SamplerSpec(steps=5, sigma_min=0.1, sigma_max=9.0)
    assert spec.list_sigmas(tiny_edm) == build_sigmas(5, sigma_min=0.1, sigma_max=9.0, rho=7.0)


def test_levels_are_snapped_and_none_comes_twice():
    model = Coarse(torch.zeros(2), torch.eye(2))
    found = SamplerSpec(steps=12, sigma_min=0.1, sigma_max=9.0).list_sigmas(model)
    assert found[0] == 9
    assert found[-2:] == [1, 0]
    assert found == sorted(set(found), reverse=True)


def test_a_spec_is_frozen_and_refuses_unknown_words():
    with pytest.raises(ValueError, match="frozen"):
        SamplerSpec().steps = 3
    with pytest.raises(ValueError, match="extra"):
        SamplerSpec(churn=1)


def test_outputs_are_drawn_as_the_spec_says():
    model, ids = GaussianDenoiser(torch.zeros(2), torch.eye(2)), ["a", "b", "c"]
    spec = SamplerSpec(method="multistep", steps=3, sigma_min=0.1, sigma_max=9.0, batch=2)
    drawn = list(spec.sample(model, ids, seed=4))
    expected = sample_items(
        model, ids, spec.list_sigmas(model), seed=4, batch=2, solver=sample_multistep
    )
    assert [len(batch) for batch in drawn] == [2, 1]
    assert torch.equal(torch.cat(drawn), torch.cat(list(expected)))


def test_a_spec_that_guides_guides():
    model = GaussianDenoiser(torch.zeros(2), torch.eye(2))
    with pytest.raises(ValueError, match=r"Guidance of scale 2\.0 needs"):
        SamplerSpec(guidance=2.0).sample(model, ["a"], seed=0)
