import pytest
import torch
from PIL import Image

from equipoise.denoisers import build_from_pipeline
from equipoise.errors import BadInputError
from equipoise.images import quantize
from equipoise.sampling import SamplerSpec, draw_noise_batch, sample_heun
from equipoise.steering import build_vector
from equipoise.steering.strip import choose_condition, draw_strip, write_strip

SAMPLER = SamplerSpec(steps=2, sigma_max=2.0)


def test_a_strip_holds_every_seed_at_every_strength_and_the_first_column_is_unsteered(
    tiny_edm, tmp_path
):
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    vector = build_vector(tiny_edm, images, name="tiny")
    strengths = [0.0, 0.5, 1.0]
    drawn = draw_strip(tiny_edm, vector, sampler=SAMPLER, strengths=strengths, num_seeds=2, seed=3)
    assert drawn.shape == (2, 3, 1, 16, 16)
    noise = draw_noise_batch((1, 16, 16), seed=3, item_ids=["strip/000001"], draws=[0])
    *_, last = sample_heun(tiny_edm, noise, SAMPLER.list_sigmas(tiny_edm))
    alone = quantize(tiny_edm.decode(last.x))[0].int()
    assert int((drawn[1, 0].int() - alone).abs().max()) <= 1
    assert not torch.equal(drawn[1, 2], drawn[1, 0])
    write_strip(tmp_path / "strip.png", drawn, [f"{a:g}" for a in strengths])
    with Image.open(tmp_path / "strip.png") as sheet:
        assert sheet.size == (3 * 68, 16 + 2 * 68)
        assert sheet.convert("L").getpixel((68 * 2 + 5, 16 + 5)) == int(drawn[0, 2, 0, 1, 1])


def test_a_model_is_asked_for_what_it_knows_only(tiny_edm):
    assert choose_condition(tiny_edm) is None
    with pytest.raises(BadInputError, match="no classes"):
        choose_condition(tiny_edm, label=3)
    with pytest.raises(BadInputError, match="takes no prompts"):
        choose_condition(tiny_edm, prompt="red")
    with pytest.raises(BadInputError, match="one of them"):
        choose_condition(tiny_edm, label=3, prompt="red")


@pytest.mark.slow
def test_a_strip_is_asked_for_its_prompt_at_every_strength(pipeline):
    model = build_from_pipeline(pipeline)
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    vector = build_vector(model, images, name="sd", kind="pooled")
    words = {"sampler": SAMPLER, "strengths": [0.0, 1.0], "num_seeds": 1, "seed": 3}
    cond = choose_condition(model, prompt="a")
    asked = draw_strip(model, vector, cond=cond, **words)
    noise = draw_noise_batch((4, 8, 8), seed=3, item_ids=["strip/000000"], draws=[0])
    *_, last = sample_heun(model, noise, SAMPLER.list_sigmas(model), cond=cond)
    alone = quantize(model.decode(last.x))[0].int()
    assert int((asked[0, 0].int() - alone).abs().max()) <= 1
    assert not torch.equal(asked, draw_strip(model, vector, **words))
