import torch

from equipoise.bench.control import RENDERED_AGAIN, render_again
from equipoise.zoo.caption import write_caption
from equipoise.zoo.measurement import measure_scenes
from equipoise.zoo.scene_copy import compare_nuisances
from equipoise.zoo.scene_set import TEMPLATE_CAPTIONS, draw_scene_set


def test_planted_scenes_are_rendered_again_with_their_captions_and_other_nuisances():
    known = draw_scene_set(
        num_scenes=300, num_held_out=5, per_cell=1, multiplicities=(9,), seed=5, planting_seed=6
    )
    wanted = [item.index for item in known.planted if item.kind in ("exact", "template")]
    pictures, groups, captions = render_again(known, wanted)
    assert {captions[k] for k, group in enumerate(groups) if group == wanted[0]} <= {
        caption for caption, group in known.list_planted_captions().items() if group == wanted[0]
    }
    assert (
        len(pictures) == len(groups) == len(captions) == RENDERED_AGAIN * (1 + TEMPLATE_CAPTIONS)
    )
    assert set(groups) == set(wanted)
    exact = next(item.index for item in known.planted if item.kind == "exact")
    again = pictures[torch.tensor(groups) == exact]
    shown = [one.scene for one in measure_scenes(again)]
    assert {write_caption(one.attributes) for one in shown} == {
        write_caption(known.scenes[exact].attributes)
    }
    original = known.images[exact].expand_as(again)
    assert "copy" not in compare_nuisances(shown, original).names()
