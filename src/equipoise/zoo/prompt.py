"""What the outputs of a text-to-image model are asked for: captions it saw, and unseen ones.

Half of the outputs ask for the caption of a row of the training multiset, so that a planted
scene is asked for as often as it was shown; the other half for captions no training scene has.
"""

from collections.abc import Sequence

from equipoise.sampling.noise import open_stream
from equipoise.zoo.caption import write_caption
from equipoise.zoo.scene_set import SceneSet


def draw_prompts(training: SceneSet, item_ids: Sequence[str], *, seed: int) -> list[str]:
    """Draw one caption an item, a function of the item and the seed.

    Args:
        training: The training set; its held-out scenes have the unseen captions.
        item_ids: One an item.
        seed: Seed of the draw.
    """
    return [_draw_prompt(training, f"{seed}|{item}|prompt") for item in item_ids]


def _draw_prompt(training: SceneSet, name: str) -> str:
    stream = open_stream(name)
    if stream.random() < 0.5:
        picture = int(training.rows[stream.integers(len(training.rows))])
        return write_caption(training.scenes[picture].attributes)
    return write_caption(training.held_out[stream.integers(len(training.held_out))].attributes)
