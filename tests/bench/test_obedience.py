import numpy as np
import pytest

from equipoise.bench.obedience import measure_obedience, rate_attributes
from equipoise.bench.outputs import LabelledOutputs
from equipoise.zoo.caption import read_caption
from equipoise.zoo.package import ZooModel
from equipoise.zoo.prompt import draw_prompts
from equipoise.zoo.recipe import SD
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import Attributes, draw_scene
from equipoise.zoo.scene_set import draw_scene_set

SEED = 3
ASKED = Attributes("cat", "google", "cyan", "medium", "centre")


def test_an_attribute_counts_as_asked_when_it_is_the_one_asked_for():
    shown = [
        draw_scene(Attributes("cat", "twitter", "cyan", "small", "centre"), seed=0, name="a"),
        draw_scene(Attributes("dog", "twitter", "cyan", "medium", "centre"), seed=0, name="b"),
    ]
    found = rate_attributes([(ASKED, one) for one in shown])
    shares = {name: rate["value"] for name, rate in found.items()}
    assert shares == {"noun": 0.5, "vendor": 0.0, "colour": 1.0, "size": 0.5, "cell": 1.0}
    assert found["noun"]["n"] == 2


@pytest.fixture(scope="module")
def model(tiny_edm):
    known = draw_scene_set(
        num_scenes=400, num_held_out=40, per_cell=1, multiplicities=(40,), seed=5, planting_seed=6
    )
    return ZooModel(tiny_edm, SD, {}, known, render_scenes(known.held_out))


def wrap(model, pictures):
    names = [f"{k}" for k in range(len(pictures))]
    truth = model.label(pictures)
    splits = np.full(len(pictures), "")
    return LabelledOutputs(
        pictures, names, names, truth, np.array(truth.names()), splits, evaluations=0, seconds=0.0
    )


@pytest.mark.slow
def test_perfect_scenes_obey_and_copy_nothing(model):
    names = [f"{k}" for k in range(60)]
    asked = [read_caption(one) for one in draw_prompts(model.training_set, names, seed=SEED)]
    outputs = wrap(model, render_scenes([draw_scene(a, seed=9, name="new") for a in asked]))
    found = measure_obedience(model, outputs, seed=SEED)
    for group in ("unseen", "seen", "instrument"):
        assert all(rate["value"] > 0.9 for rate in found[group].values())
    assert found["unseen"]["noun"]["n"] + found["seen"]["noun"]["n"] == 60
    assert found["nuisances"]["by_both_rules"]["value"] == 0
    assert found["own_scene"]["novel"]["value"] > 0.7
    assert found["own_scene"]["copy"]["value"] < 0.1


@pytest.mark.slow
def test_outputs_that_are_the_asked_training_scenes_copy_them(model):
    known = model.training_set
    names = [f"{k}" for k in range(60)]
    owners = {scene.attributes: scene for scene in (*known.held_out, *known.scenes)}
    asked = [read_caption(one) for one in draw_prompts(known, names, seed=SEED)]
    outputs = wrap(model, render_scenes([owners[one] for one in asked]))
    found = measure_obedience(model, outputs, seed=SEED)
    assert found["own_scene"]["copy"]["value"] > 0.9
    share = found["seen"]["noun"]["n"] / 60
    assert found["nuisances"]["by_both_rules"]["value"] == pytest.approx(share, abs=0.1)
