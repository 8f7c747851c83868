import numpy as np
import pytest
import torch

from equipoise.bench.build import build_untrained
from equipoise.bench.control import Exhibit, measure_control
from equipoise.bench.outputs import LabelledOutputs
from equipoise.bench.parts import load_exhibit
from equipoise.bench.show import count_outputs, find_closest, run_show
from equipoise.labels import label_by_nearest
from equipoise.zoo.package import Pictures
from equipoise.zoo.recipe import EdmRecipe

RECIPE = EdmRecipe(name="test", channels=(8, 16), num_images=80, per_cell=1)
GENERATOR = torch.Generator().manual_seed(0)
PICTURES = Pictures(
    torch.randint(0, 256, (80, 1, 16, 16), generator=GENERATOR).to(torch.uint8),
    torch.arange(80) % 10,
    torch.zeros(1, 1, 16, 16, dtype=torch.uint8),
)


@pytest.fixture(scope="module")
def model():
    return build_untrained(RECIPE, PICTURES)


def wrap_outputs(model, pictures):
    training_set = model.training_set
    truth = label_by_nearest(pictures, training_set.images, training_set.group)
    names = [f"{i}" for i in range(len(pictures))]
    splits = np.array([model.split_of(index) or "" for index in truth.nearest.tolist()])
    return LabelledOutputs(
        pictures, names, names, truth, np.array(truth.names()), splits, evaluations=0, seconds=0.0
    )


def test_copies_are_counted_by_the_image_they_copy(model):
    """Two copies of one planted image, one of another, one of one shown once, two of noise."""
    first, second = (item.index for item in model.training_set.planted[:2])
    once = next(i for i in range(80) if i not in model.planted)
    images = model.training_set.images
    noise = torch.randint(0, 256, (2, 1, 16, 16), generator=GENERATOR).to(torch.uint8)
    mirrored = images[second].flip(-1)
    pictures = torch.stack([images[first], images[first], mirrored, images[once], *noise])
    found = count_outputs(model, wrap_outputs(model, pictures))
    assert found["labels"] == {"copy": 4, "grey": 0, "novel": 2}
    assert found["images_copied"] == 2
    assert found["copies"]["value"] == pytest.approx(4 / 6)
    assert found["copies_not_planted"]["value"] == pytest.approx(1 / 6)
    assert found["copies_below_half"]["value"] == pytest.approx(4 / 6)


def test_the_closest_output_may_be_that_of_a_variant(model):
    planted = model.training_set.planted
    near = next(item for item in planted if item.kind == "near")
    variant = model.training_set.images[(model.training_set.group == near.index).nonzero()[-1, 0]]
    noise = torch.randint(0, 256, (5, 1, 16, 16), generator=GENERATOR).to(torch.uint8)
    pictures = torch.cat([noise, variant[None]])
    rows = find_closest(model, wrap_outputs(model, pictures))
    assert rows[planted.index(near)] == 5


@pytest.mark.slow
def test_the_page_of_a_shipped_model_shows_that_it_copies_and_invents(tmp_path):
    exhibit = load_exhibit("zoo:edm-fashion")
    results = run_show(exhibit, tmp_path / "run", seed=3, num_samples=300).record.results
    assert results["labels"]["copy"] >= 20
    assert results["labels"]["novel"] >= 150
    assert results["images_copied"] >= 10
    assert results["copies_not_planted"]["value"] < 0.01
    assert sum(row["count"] for row in results["planted"]) == results["labels"]["copy"]
    control = results["control"]
    assert control["planted"]["low"] > 0.7
    assert control["not_planted"]["low"] < 0.5 < control["not_planted"]["high"]
    assert control["planted"]["low"] > control["planted_by_twin"]["value"]


def test_without_a_calibration_there_is_no_control(model):
    nothing = wrap_outputs(model, model.training_set.images[:1])
    assert measure_control(Exhibit(model, None, None), nothing, seed=0) is None
