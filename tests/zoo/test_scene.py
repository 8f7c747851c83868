from itertools import combinations

import numpy as np
import pytest

from equipoise.zoo.scene import (
    CELLS,
    CLEARANCE,
    COLOURS,
    MAX_ANGLE,
    MAX_OFFSET,
    MIN_CONTRAST,
    SHAPE_RADIUS,
    SIDE,
    SIZES,
    WAVELENGTHS,
    Attributes,
    change_motif,
    draw_scene,
    list_attributes,
)

APPLE = Attributes("apple", "google", "blue", "large", "top left")
SCENES = [draw_scene(APPLE, seed=0, name=str(k)) for k in range(400)]


def test_a_scene_is_a_function_of_attributes_seed_and_name():
    assert draw_scene(APPLE, seed=0, name="0") == SCENES[0]
    assert draw_scene(APPLE, seed=1, name="0").nuisances != SCENES[0].nuisances
    assert draw_scene(APPLE, seed=0, name="1").nuisances != SCENES[0].nuisances


def test_every_combination_is_listed_once():
    every = list_attributes()
    assert len(set(every)) == len(every) == 48 * 2 * len(COLOURS) * len(SIZES) * len(CELLS)


@pytest.mark.parametrize(
    ("read", "low", "high"),
    [
        (lambda n: n.angle, -MAX_ANGLE, MAX_ANGLE),
        (lambda n: n.dx, -MAX_OFFSET, MAX_OFFSET),
        (lambda n: n.dy, -MAX_OFFSET, MAX_OFFSET),
        (lambda n: n.texture.wavelength, *WAVELENGTHS),
        (lambda n: n.texture.direction, 0, 180),
        (lambda n: n.texture.phase, 0, 360),
    ],
    ids=["angle", "dx", "dy", "wavelength", "direction", "phase"],
)
def test_a_nuisance_is_uniform_over_its_range(read, low, high):
    share = np.sort([(read(scene.nuisances) - low) / (high - low) for scene in SCENES])
    assert 0 <= share[0]
    assert share[-1] <= 1
    even = (np.arange(len(share)) + 0.5) / len(share)
    assert np.abs(share - even).max() < 0.1  # Kolmogorov-Smirnov, p about .0007 at n = 400


@pytest.mark.parametrize("cell", CELLS)
def test_the_second_shape_is_clear_of_the_emoji_and_seen(cell):
    for k in range(50):
        scene = draw_scene(
            Attributes("apple", "google", "pink", "large", cell), seed=2, name=f"{k}"
        )
        shape = scene.nuisances.shape
        distance = np.hypot(shape.x - scene.centre[0], shape.y - scene.centre[1])
        assert distance >= CLEARANCE * SIZES["large"] + SHAPE_RADIUS
        assert np.linalg.norm(np.subtract(shape.rgb, COLOURS["pink"])) >= MIN_CONTRAST


def test_backgrounds_and_cells_are_well_apart():
    for one, other in combinations(COLOURS.values(), 2):
        assert np.linalg.norm(np.subtract(one, other)) > 70
    for one, other in combinations(CELLS.values(), 2):
        assert np.abs(np.subtract(one, other)).max() > 3 * MAX_OFFSET
    for x, y in CELLS.values():
        assert min(x, y, SIDE - x, SIDE - y) >= SIZES["large"] / 2


def test_changing_the_motif_keeps_everything_else():
    other = change_motif(SCENES[0], "cat", "twitter")
    assert other.nuisances == SCENES[0].nuisances
    assert other.centre == SCENES[0].centre
    assert (other.attributes.noun, other.attributes.vendor) == ("cat", "twitter")
    assert other.attributes.colour == "blue"
