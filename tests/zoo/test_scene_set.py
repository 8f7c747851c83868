from collections import Counter
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from equipoise.errors import BadInputError
from equipoise.zoo.caption import read_caption
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene_set import (
    KINDS,
    TEMPLATE_CAPTIONS,
    _Captions,
    draw_planted_scenes,
    draw_scene_set,
    split_attributes,
)

NUMBERS = dict(num_scenes=100, num_held_out=20, multiplicities=(10, 24), seed=4)
PICTURES_OF = {"exact": 1, "near": 3, "flipped": 2, "template": TEMPLATE_CAPTIONS}


@pytest.fixture(scope="module")
def planted():
    return draw_scene_set(**NUMBERS, per_cell=2, planting_seed=5)


@pytest.fixture(scope="module")
def twin():
    return draw_scene_set(**NUMBERS, per_cell=0, planting_seed=5)


def test_every_cell_is_full(planted):
    cells = Counter((item.kind, item.multiplicity) for item in planted.planted)
    assert cells == dict.fromkeys(product(KINDS, (10, 24)), 2)
    assert len({item.index for item in planted.planted}) == 16


def test_each_scene_fills_as_many_rows_as_planted(planted):
    rows = Counter(planted.group[planted.rows].tolist())
    multiplicity = {item.index: item.multiplicity for item in planted.planted}
    assert rows == {index: multiplicity.get(index, 1) for index in range(100)}
    for item in planted.planted:
        shown = Counter(p for p in planted.rows.tolist() if planted.group[p] == item.index)
        assert len(shown) == PICTURES_OF[item.kind]
        assert max(shown.values()) - min(shown.values()) <= 1


def test_captions_belong_to_rows_and_to_one_scene(planted):
    assert len(planted.captions) == len(planted.rows)
    leads_to = {}
    for caption, row in zip(planted.captions, planted.rows.tolist(), strict=True):
        assert read_caption(caption) == planted.scenes[row].attributes
        assert leads_to.setdefault(caption, int(planted.group[row])) == planted.group[row]


def test_unseen_captions_are_in_no_row(planted):
    unseen, seen = split_attributes(4)
    assert len(unseen) == round(0.15 * (len(unseen) + len(seen)))
    assert {scene.attributes for scene in planted.held_out} <= set(unseen)
    assert not {read_caption(caption) for caption in planted.captions} & set(unseen)


def test_a_template_recurs_outside_its_emoji(planted):
    item = next(item for item in planted.planted if item.kind == "template")
    members = (planted.group == item.index).nonzero().flatten().tolist()
    scenes = [planted.scenes[m] for m in members]
    assert len({scene.nuisances for scene in scenes}) == 1
    assert len({(s.attributes.noun, s.attributes.vendor) for s in scenes}) == TEMPLATE_CAPTIONS
    assert len({(s.attributes.colour, s.attributes.size, s.attributes.cell) for s in scenes}) == 1
    same = (planted.images[members] == planted.images[item.index]).all(dim=1).all(dim=0)
    assert same.float().mean() > 0.7


def test_variants_are_what_their_kind_says(planted):
    for item in planted.planted:
        first, *others = planted.images[planted.group == item.index]
        assert torch.equal(first, render_scenes([planted.originals[item.index]])[0])
        if item.kind == "flipped":
            assert torch.equal(others[0], first.flip(-1))
            assert planted.originals[item.index].attributes.cell == "centre"
        if item.kind == "near":
            cut = first[None, :, :61, :61].double()
            enlarged = F.interpolate(cut, 64, mode="bicubic")[0]
            assert (others[0] - enlarged).abs().mean() < 2
            darker = others[1].double().mean() / first.double().mean()
            assert float(darker) == pytest.approx(0.88, abs=0.005)


def test_the_twin_has_the_same_scenes_once(planted, twin):
    assert twin.originals == planted.originals
    assert twin.held_out == planted.held_out
    assert torch.equal(twin.rows, torch.arange(100))
    assert torch.equal(twin.images, planted.images[:100])
    assert twin.planted == ()


def test_planting_moves_with_its_seed_and_not_the_scenes(planted):
    one, other = (
        draw_planted_scenes(planted.originals, per_cell=2, multiplicities=(10, 24), seed=seed)
        for seed in (5, 6)
    )
    assert one == planted.planted
    assert {item.index for item in one} != {item.index for item in other}


def test_the_control_has_planted_captions_and_other_nuisances(planted):
    leads_to = planted.list_planted_captions()
    again = planted.redraw_planted(seed=9)
    assert len(again) == len(leads_to) == 4 * 3 + 4 * TEMPLATE_CAPTIONS
    for scene, (caption, group) in zip(again, leads_to.items(), strict=True):
        assert scene.attributes == read_caption(caption)
        assert abs(scene.nuisances.angle - planted.originals[group].nuisances.angle) > 1e-6


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"num_scenes": 20_000}, "captions for"),
        ({"num_held_out": 2000}, "captions for"),
        ({"per_cell": 40}, "centre"),
    ],
)
def test_impossible_numbers_are_refused(changed, told):
    with pytest.raises(BadInputError, match=told):
        draw_scene_set(**{**NUMBERS, "per_cell": 2, "planting_seed": 5, **changed})


def test_a_template_without_captions_left_is_refused():
    _, seen = split_attributes(4)
    captions = _Captions([])
    with pytest.raises(BadInputError, match="template"):
        captions.take_like(seen[0], 7)
