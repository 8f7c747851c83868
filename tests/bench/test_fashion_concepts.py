import pytest
import torch

from equipoise.bench.fashion_concepts import FashionConcepts
from equipoise.bench.instrument import NUM_FITTED
from equipoise.errors import BadInputError
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import load_zoo


@pytest.mark.slow
def test_references_are_of_the_class_and_judged_so():
    model = load_zoo("dit-fashion")
    known = FashionConcepts(model, ("trousers", "bag"))
    images = model.training_set.images[: model.recipe.num_images]
    for place, concept in enumerate(known.concepts):
        shown, without = known.draw_references(concept, count=20, seed=0)
        for side, inside in ((shown, True), (without, False)):
            same = (images[:, None] == side).flatten(2).all(dim=2)
            classes = model.training_set.classes[same.int().argmax(dim=0)]
            assert same.any(dim=0).all()
            assert not same[:NUM_FITTED].any()
            assert ((classes == CLASSES.index(concept.name)) == inside).all()
        assert known.read(shown).scores[:, place].mean() > 0.7
        assert known.read(without).scores[:, place].mean() < 0.3
    assert known.ask_for(known.concepts[1], ["a", "b"], seed=0).tolist() == [8, 8]
    assert torch.equal(known.draw_held_out(count=4, seed=1), known.draw_held_out(count=4, seed=1))
    with pytest.raises(BadInputError, match="T-shirt"):
        FashionConcepts(model, ("hat",))
