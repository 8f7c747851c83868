from collections import Counter

import pytest

from equipoise.denoisers import fingerprint
from equipoise.errors import UnknownModelError
from equipoise.zoo.fashion import content_hash
from equipoise.zoo.package import MODELS, load_zoo
from equipoise.zoo.recipe import RECIPES

NAMES = list(RECIPES)


@pytest.mark.slow  # the text-to-image models draw all their scenes again
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_the_one_on_its_card(name):
    model = load_zoo(f"zoo:{name}")
    assert fingerprint(model.denoiser) == model.card["fingerprint"]
    originals = model.training_set.images[: model.recipe.num_images]
    assert content_hash(originals) == model.card["originals_sha256"]
    assert content_hash(model.held_out) == model.card["held_out_sha256"]
    assert model.recipe == RECIPES[name]
    assert len(model.training_set.rows) == model.card["rows"]


def test_the_halves_share_no_image_and_both_fill_every_cell():
    model = load_zoo("edm-fashion")
    cells = Counter(
        (model.split_of(index), item.kind, item.multiplicity)
        for index, item in model.planted.items()
    )
    assert len(cells) == 12
    assert set(cells.values()) == {4}
    unplanted = next(i for i in range(5000) if i not in model.planted)
    assert model.split_of(unplanted) is None


def measure_bytes(pattern):
    return sum(path.stat().st_size for path in MODELS.glob(pattern) if path.is_file())


def test_the_packages_are_small_enough_to_ship():
    assert measure_bytes("**/*") <= 60 * 2**20
    first = ("edm-fashion/*", "edm-fashion-clean/*", "fashion-16px/*")
    assert sum(map(measure_bytes, first)) <= 16 * 2**20


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(UnknownModelError, match='"edm-fashion"'):
        load_zoo("zoo:edm-fasion")


def test_an_unknown_save_is_answered_with_those_there_are():
    with pytest.raises(UnknownModelError, match="Earlier saves of this training"):
        load_zoo("zoo:edm-fashion@17")
