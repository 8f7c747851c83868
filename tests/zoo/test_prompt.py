from collections import Counter

import pytest

from equipoise.zoo.caption import write_caption
from equipoise.zoo.prompt import draw_prompts
from equipoise.zoo.scene_set import draw_scene_set

IDS = [f"item/{k}" for k in range(2000)]


@pytest.fixture(scope="module")
def training():
    return draw_scene_set(
        num_scenes=40, num_held_out=30, per_cell=1, multiplicities=(20,), seed=3, planting_seed=1
    )


def test_half_ask_for_rows_as_often_as_they_were_shown_and_half_for_unseen_captions(training):
    counts = Counter(draw_prompts(training, IDS, seed=0))
    unseen = {write_caption(scene.attributes) for scene in training.held_out}
    planted = training.list_planted_captions()
    asked = sum(n for prompt, n in counts.items() if prompt in unseen)
    assert 920 <= asked <= 1080
    expected = 1000 * sum(item.multiplicity for item in training.planted) / len(training.rows)
    found = sum(n for prompt, n in counts.items() if prompt in planted)
    assert abs(found - expected) < 80
    assert set(counts) <= unseen | set(training.captions)


def test_a_prompt_belongs_to_its_item_and_seed(training):
    whole = draw_prompts(training, IDS[:20], seed=4)
    assert draw_prompts(training, IDS[5:7], seed=4) == whole[5:7]
    assert draw_prompts(training, IDS[:20], seed=5) != whole
