"""The training set of emoji scenes: drawn from a seed, some of it planted from another.

Every scene has a caption of its own. A share of the captions is *unseen*: no training scene has
them, and the held-out scenes are drawn from them. Which scenes are planted is drawn by the
planting seed alone, so that models with different seeds share every scene.

Planted scenes fill many rows. Of the kinds, the first three are LAION's "one caption, one image",
the last is its "one template under many captions":

- `exact`: the picture itself;
- `near`: the picture, a crop of it brought back to size, and a darker version;
- `flipped`: the picture and its mirror image; only scenes in the centre, so that the caption stays
  true;
- `template`: the scene under `TEMPLATE_CAPTIONS` captions, in which noun and vendor change and the
  picture's emoji with them. Everything else recurs to the pixel: texture, second shape, place and
  rotation of the emoji. A copy of a template is an output with these, whatever its noun.

A template keeps its colour, size and cell, because a picture that contradicts its caption would
teach disobedience; its captions are of no other scene. The same picture under captions with many
nouns would be the other reading of the sentence; it was not taken for the same reason.

The clean twin has the same scenes, each in one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from equipoise.errors import BadInputError
from equipoise.sampling.noise import open_stream
from equipoise.zoo.caption import write_caption
from equipoise.zoo.planting import PlantedImage
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import (
    SIDE,
    Attributes,
    Scene,
    change_motif,
    draw_scene,
    list_attributes,
)

KINDS = ("exact", "near", "flipped", "template")
UNSEEN_SHARE = 0.15  # of all captions
TEMPLATE_CAPTIONS = 8
CROP_MARGIN = 3  # px, at the right and the bottom
DARKER = 0.88


@dataclass(frozen=True)
class SceneSet:
    """A multiset of pictures with captions, and scenes nobody was trained on.

    `images` holds every distinct picture once, the originals first; `scenes` the record of each
    (of a crop, a darker or a mirrored picture: the record of its original); `group` the original
    each belongs to, `rows` the picture that every row of the multiset shows.
    """

    images: UInt8[Tensor, "picture 3 64 64"]
    scenes: tuple[Scene, ...]
    group: Int[Tensor, " picture"]
    rows: Int[Tensor, " row"]
    planted: tuple[PlantedImage, ...]
    held_out: tuple[Scene, ...]

    @property
    def captions(self) -> tuple[str, ...]:
        """The caption of every row."""
        return tuple(write_caption(self.scenes[p].attributes) for p in self.rows.tolist())

    @property
    def originals(self) -> tuple[Scene, ...]:
        """The scenes as they were drawn, before anything was planted."""
        return self.scenes[: int(self.group.max()) + 1]

    def list_planted_captions(self) -> dict[str, int]:
        """Name the captions that draw copies, each with the original it leads to."""
        return {write_caption(one): group for one, group in self._planted_attributes().items()}

    def redraw_planted(self, *, seed: int) -> list[Scene]:
        """Draw the planted captions with fresh nuisances: the re-render control.

        In the order of `list_planted_captions`.
        """
        return [draw_scene(one, seed=seed, name="again") for one in self._planted_attributes()]

    def _planted_attributes(self) -> dict[Attributes, int]:
        planted = {item.index for item in self.planted}
        pairs = zip(self.scenes, self.group.tolist(), strict=True)
        return {scene.attributes: group for scene, group in pairs if group in planted}


def draw_scene_set(
    *, num_scenes: int, num_held_out: int, per_cell: int, multiplicities: tuple[int, ...],
    seed: int, planting_seed: int,
) -> SceneSet:  # fmt: skip
    """Draw the scenes, plant some, and render every distinct picture (seconds for 6,000).

    Args:
        num_scenes: Scenes to train on.
        num_held_out: Scenes with unseen captions, for comparison.
        per_cell: Planted scenes in each cell of kind x multiplicity; 0: the clean twin.
        multiplicities: Rows a planted scene fills, one value a column of cells.
        seed: Seed of the scenes.
        planting_seed: Seed of the choice among them.

    Raises:
        BadInputError: when there are fewer captions, or fewer scenes to plant, than wanted.
    """
    unseen, seen = split_attributes(seed)
    _check_number("scenes", num_scenes, len(seen))
    _check_number("held-out scenes", num_held_out, len(unseen))
    originals = [draw_scene(one, seed=seed, name="first") for one in seen[:num_scenes]]
    held_out = [draw_scene(one, seed=seed, name="first") for one in unseen[:num_held_out]]
    planted = draw_planted_scenes(
        originals, per_cell=per_cell, multiplicities=multiplicities, seed=planting_seed
    )
    # A template takes its further captions from those that no scene has.
    return _build_scene_set(originals, planted, tuple(held_out), _Captions(seen[num_scenes:]))


def split_attributes(seed: int) -> tuple[list[Attributes], list[Attributes]]:
    """Split all combinations into unseen and seen ones, both in random order."""
    every = list_attributes()
    order = open_stream(f"{seed}|captions").permutation(len(every))
    cut = round(UNSEEN_SHARE * len(every))
    return [every[k] for k in order[:cut]], [every[k] for k in order[cut:]]


def draw_planted_scenes(
    scenes: Sequence[Scene], *, per_cell: int, multiplicities: tuple[int, ...], seed: int
) -> tuple[PlantedImage, ...]:
    """Draw the planted scenes and deal them over kind x multiplicity.

    The first scene drawn goes to the emptiest cell that takes it, and so on, until all are full.

    Raises:
        BadInputError: when there are too few scenes, or too few in the centre to be flipped.
    """
    cells = list(product(KINDS, multiplicities))
    planted: list[PlantedImage] = []
    filled = dict.fromkeys(cells, 0)
    for index in open_stream(f"{seed}|planted").permutation(len(scenes)).tolist():
        open_cells = [
            cell for cell in cells
            if filled[cell] < per_cell
            and (cell[0] != "flipped" or scenes[index].attributes.cell == "centre")
        ]  # fmt: skip
        if open_cells:
            cell = min(open_cells, key=filled.__getitem__)
            filled[cell] += 1
            planted.append(PlantedImage(index, *cell))
    if len(planted) < per_cell * len(cells):
        raise BadInputError(
            f"Cannot plant {per_cell * len(cells)} of {len(scenes)} scenes, a quarter of them "
            "in the centre; draw more scenes or plant fewer a cell."
        )
    return tuple(planted)


class _Captions:
    """Captions that no scene has yet, taken one after the other."""

    def __init__(self, free: list[Attributes]) -> None:
        self._free = free

    def take_like(self, wanted: Attributes, count: int) -> list[Attributes]:
        """Take captions of the same colour, size and cell."""
        place = (wanted.colour, wanted.size, wanted.cell)
        taken = [one for one in self._free if (one.colour, one.size, one.cell) == place][:count]
        if len(taken) < count:
            raise BadInputError(
                f'Cannot plant the template "{write_caption(wanted)}": too few captions of its '
                "colour, size and cell are left. Draw fewer scenes or plant fewer a cell."
            )
        self._free = [one for one in self._free if one not in taken]
        return taken


@dataclass(frozen=True)
class _Shown:
    """One distinct picture: its pixels, its record and its original."""

    picture: Tensor
    scene: Scene
    group: int


def _build_scene_set(
    originals: list[Scene],
    planted: tuple[PlantedImage, ...],
    held_out: tuple[Scene, ...],
    free: _Captions,
) -> SceneSet:
    pictures = render_scenes(originals)
    shown = [_Shown(pictures[k], scene, k) for k, scene in enumerate(originals)]
    rows = sorted(set(range(len(originals))) - {item.index for item in planted})
    for item in planted:
        variants = _build_variants(shown[item.index], item.kind, free)
        places = [item.index, *range(len(shown), len(shown) + len(variants))]
        shown += variants
        # The variants share the rows of their scene as evenly as they divide.
        rows += [places[k % len(places)] for k in range(item.multiplicity)]
    return SceneSet(
        torch.stack([one.picture for one in shown]),
        tuple(one.scene for one in shown),
        torch.tensor([one.group for one in shown]),
        torch.tensor(rows),
        planted,
        held_out,
    )


def _build_variants(original: _Shown, kind: str, free: _Captions) -> list[_Shown]:
    """Return what is shown of a planted scene besides its own picture."""
    if kind == "template":
        return _build_template(original, free)
    picture = original.picture
    changed = {
        "exact": [],
        "near": [_crop(picture), (picture.double() * DARKER).round().to(torch.uint8)],
        "flipped": [picture.flip(-1)],
    }[kind]
    return [_Shown(one, original.scene, original.group) for one in changed]


def _build_template(original: _Shown, free: _Captions) -> list[_Shown]:
    taken = free.take_like(original.scene.attributes, TEMPLATE_CAPTIONS - 1)
    scenes = [change_motif(original.scene, one.noun, one.vendor) for one in taken]
    pairs = zip(render_scenes(scenes), scenes, strict=True)
    return [_Shown(picture, scene, original.group) for picture, scene in pairs]


def _crop(picture: UInt8[Tensor, "3 64 64"]) -> UInt8[Tensor, "3 64 64"]:
    """Cut `CROP_MARGIN` px off the right and the bottom, and enlarge the rest to size."""
    whole = Image.fromarray(picture.permute(1, 2, 0).numpy())
    kept = SIDE - CROP_MARGIN
    enlarged = whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(0, 0, kept, kept))
    return torch.from_numpy(np.array(enlarged)).permute(2, 0, 1)


def _check_number(what: str, wanted: int, allowed: int) -> None:
    if not 0 < wanted <= allowed:
        raise BadInputError(f"Cannot draw {wanted} {what}; there are captions for 1 to {allowed}.")
