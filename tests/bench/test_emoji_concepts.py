from dataclasses import asdict

import numpy as np
import pytest
import torch

from equipoise.bench.emoji_concepts import VALUES, EmojiConcepts, parse_concept
from equipoise.errors import BadInputError
from equipoise.zoo.caption import read_caption
from equipoise.zoo.package import ZooModel
from equipoise.zoo.recipe import SD
from equipoise.zoo.scene_set import draw_scene_set

NAMES = ("colour blue", "size large", "vendor twitter", "noun cat")


@pytest.fixture(scope="module")
def known(tiny_edm):
    scenes = draw_scene_set(
        num_scenes=60, num_held_out=40, per_cell=1, multiplicities=(2,), seed=1, planting_seed=1
    )
    return EmojiConcepts(ZooModel(tiny_edm, SD, {}, scenes, scenes.images[:1]), NAMES)


def test_references_differ_in_the_attribute_and_are_read_so(known):
    """Truth is in the records that the pictures are drawn from."""
    for place, concept in enumerate(known.concepts):
        shown, without = known.draw_references(concept, count=8, seed=0)
        assert shown.shape == without.shape == (8, 3, 64, 64)
        one, two = known.read(shown), known.read(without)
        assert known.chances(one, place).mean() >= 0.85
        assert known.chances(two, place).mean() <= 0.15
        assert (one.scores[:, place] > two.scores[:, place]).mean() >= 0.85
        assert np.abs(one.scores).max() <= 1
    again, _ = known.draw_references(concept, count=8, seed=0)
    other, _ = known.draw_references(concept, count=8, seed=1)
    assert torch.equal(shown, again)
    assert not torch.equal(shown, other)


def test_captions_tell_what_the_references_show_and_differ_in_one_word(known):
    for concept in known.concepts:
        pictures = known.draw_references(concept, count=6, seed=0)
        captions = known.caption_references(concept, count=6, seed=0)
        sides = [[asdict(read_caption(one)) for one in side] for side in captions]
        for side, told in zip(pictures, sides, strict=True):
            shown = known.read(side).shown
            pairs = list(zip(shown, told, strict=True))
            assert np.mean([one[k] == two[k] for one, two in pairs for k in VALUES]) >= 0.9
        for one, two in zip(*sides, strict=True):
            assert [name for name in one if one[name] != two[name]] == [concept.attribute]
            assert one[concept.attribute] == concept.value


def test_what_is_steered_shows_no_concept_and_asking_changes_one_word(known, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "equipoise.bench.emoji_concepts.encode_prompts",
        lambda _, captions: asked.append([read_caption(one) for one in captions]) or torch.ones(1),
    )
    ids = [str(k) for k in range(30)]
    known.draw_conditions(ids, seed=3)
    for concept in known.concepts:
        known.ask_for(concept, ids, seed=3)
    plain, *edited = asked
    for concept, changed in zip(known.concepts, edited, strict=True):
        for one, two in zip(plain, changed, strict=True):
            differs = [name for name in VALUES if getattr(one, name) != getattr(two, name)]
            assert differs == [concept.attribute]
            assert getattr(two, concept.attribute) == concept.value
    assert len(known.draw_held_out(count=3, seed=0)) == 3


def test_a_score_rises_with_what_it_stands_for(known):
    """A background on the way to blue is bluer at every step."""
    shown, _ = known.draw_references(known.concepts[0], count=1, seed=0)
    red = torch.tensor([212.0, 62, 62])[:, None, None]
    blue = shown[0].float()
    steps = torch.stack([(1 - a) * red + a * blue for a in (0.0, 0.3, 0.7, 1.0)]).round().byte()
    assert (np.diff(known.read(steps).scores[:, 0]) > 0).all()


def test_an_unknown_concept_is_refused_with_what_there_is():
    assert parse_concept("noun cat").value == "cat"
    for wrong in ("noun unicorn", "shape round", "blue"):
        with pytest.raises(BadInputError, match="colour: red"):
            parse_concept(wrong)
