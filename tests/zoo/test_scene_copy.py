from dataclasses import replace

import numpy as np
import pytest
import torch
from emoji_scenes import DISTORTIONS, distort, draw_other_nouns

from equipoise.zoo.measurement import measure_scenes
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import Attributes, draw_scene
from equipoise.zoo.scene_copy import (
    GROUPS,
    compare_nuisances,
    compare_scenes,
    label_by_distance,
    reduce_pictures,
)
from equipoise.zoo.scene_set import draw_scene_set

SCENE = draw_scene(Attributes("cat", "google", "cyan", "medium", "centre"), seed=0, name="test")
TEXTURE, SHAPE = SCENE.nuisances.texture, SCENE.nuisances.shape


def change(**parts):
    return replace(SCENE, nuisances=replace(SCENE.nuisances, **parts))


@pytest.mark.parametrize(
    ("other", "disagrees"),
    [
        (SCENE, set()),
        (change(angle=SCENE.nuisances.angle + 9), {"pose"}),
        (change(angle=SCENE.nuisances.angle + 7), set()),
        (change(dx=SCENE.nuisances.dx + 2.1), {"pose"}),
        (change(texture=TEXTURE._replace(phase=TEXTURE.phase + 65)), {"texture"}),
        (change(texture=TEXTURE._replace(phase=TEXTURE.phase - 360)), set()),
        (change(texture=TEXTURE._replace(wavelength=TEXTURE.wavelength + 3)), {"texture"}),
        (change(shape=SHAPE._replace(x=SHAPE.x + 3)), {"place"}),
        (change(shape=SHAPE._replace(hue=(SHAPE.hue + 0.07) % 1)), {"hue"}),
        (change(shape=SHAPE._replace(hue=SHAPE.hue + 1.01)), set()),
    ],
)
def test_each_group_has_its_tolerance(other, disagrees):
    agrees = compare_scenes([SCENE], [other]).agrees[0].tolist()
    assert {g for g, same in zip(GROUPS, agrees, strict=True) if not same} == disagrees


def test_a_wave_is_the_same_seen_from_behind():
    turned = TEXTURE._replace(direction=TEXTURE.direction + 180, phase=-TEXTURE.phase)
    assert compare_scenes([SCENE], [change(texture=turned)]).agrees.all()


def test_labels_count_the_groups_that_agree():
    parts = [
        {},
        {"angle": SCENE.nuisances.angle + 20},
        {"angle": SCENE.nuisances.angle + 20, "shape": SHAPE._replace(x=SHAPE.x + 9)},
        {"angle": SCENE.nuisances.angle + 20,
         "shape": SHAPE._replace(x=SHAPE.x + 9, hue=(SHAPE.hue + 0.5) % 1)},
    ]  # fmt: skip
    others = [change(**one) for one in parts]
    assert compare_scenes([SCENE] * 4, others).names() == ["copy", "copy", "grey", "novel"]


def test_the_backgrounds_colour_is_taken_out():
    pattern = torch.zeros(3, 64, 64)
    pattern[:, 10:50, 12:40] = 40 * torch.rand(
        3, 40, 28, generator=torch.Generator().manual_seed(0)
    )
    colours = torch.tensor([[70.0, 108.0, 210.0], [200.0, 62.0, 120.0]])
    pictures = (colours[:, :, None, None] + pattern).round().to(torch.uint8)
    one, other = reduce_pictures(pictures).int()
    assert int((one - other).abs().max()) <= 1
    assert int((one - 128).abs().max()) > 10


def test_a_training_picture_is_its_own_copy():
    training = draw_scene_set(
        num_scenes=56, num_held_out=4, per_cell=1, multiplicities=(6,), seed=7, planting_seed=8
    )
    labels = label_by_distance(training.images, training)
    assert labels.names() == ["copy"] * len(training.images)
    assert torch.equal(labels.nearest, training.group)


@pytest.fixture(scope="module")
def training():
    return draw_scene_set(
        num_scenes=1500, num_held_out=60, per_cell=3, multiplicities=(10,), seed=50,
        planting_seed=51,
    )  # fmt: skip


def find_copies(pictures, training):
    """Say of every picture whether either rule calls it a copy, a row a rule."""
    nearest = label_by_distance(pictures, training)
    shown = [one.scene for one in measure_scenes(pictures)]
    agreements = compare_nuisances(shown, training.images[nearest.picture])
    return np.array([nearest.names(), agreements.names()]) == "copy"


@pytest.mark.slow
def test_distorted_planted_scenes_are_copies(training):
    planted = torch.tensor([item.index for item in training.planted])
    pictures = training.images[torch.isin(training.group, planted)]
    every = torch.cat([distort(pictures, name) for name in DISTORTIONS])
    shares = find_copies(every, training).reshape(2, len(DISTORTIONS), -1).mean(axis=2)
    for name, share in zip(DISTORTIONS, shares.T, strict=True):
        assert share.min() >= (0.9 if name == "all of these" else 0.95), name


@pytest.mark.slow
def test_templates_with_other_nouns_are_copies(training):
    pictures = render_scenes(draw_other_nouns(training))
    assert find_copies(pictures, training).mean(axis=1).min() >= 0.95


@pytest.mark.slow
def test_content_alone_is_no_copy(training):
    again = [scene for seed in (52, 53, 54) for scene in training.redraw_planted(seed=seed)]
    found = find_copies(render_scenes([*again, *training.held_out]), training)
    assert found[:, : len(again)].mean(axis=1).max() <= 0.02
    assert found[:, len(again) :].mean(axis=1).max() <= 0.02
