import numpy as np
import pytest
import torch
from emoji_scenes import INSTRUMENTS, WORDS, distort

from equipoise.zoo.measurement import measure_scenes
from equipoise.zoo.motif import draw_any_scenes
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import Attributes, draw_scene


def test_pictures_are_read_back_to_their_records():
    words = [("red", "large", "top left"), ("yellow", "small", "centre")]
    scenes = [
        draw_scene(Attributes("rocket", "twitter", *one), seed=k, name="test")
        for k in range(4)
        for one in words
    ]
    measured = measure_scenes(render_scenes(scenes))
    for one, scene in zip(measured, scenes, strict=True):
        assert one.scene.attributes == scene.attributes
        for instrument in INSTRUMENTS:
            assert instrument.error(one.scene, scene) < instrument.tolerance, instrument.name
        assert one.texture_amplitude == pytest.approx(14, abs=1)
        assert one.noun_probability > 0.5
        assert 0.1 < one.emoji_gain < 1
        assert one.shape_contrast > 90


def test_a_blank_picture_gets_a_record_that_says_it_is_weak():
    (one,) = measure_scenes(torch.full((1, 3, 64, 64), 120, dtype=torch.uint8))
    assert one.texture_amplitude < 0.1
    assert one.emoji_gain < 0
    assert one.shape_contrast < 1


def test_an_emoji_of_the_backgrounds_colour_is_not_found_on_the_second_shape():
    scenes = [
        draw_scene(Attributes("moon", "twitter", "yellow", "small", cell), seed=k, name="test")
        for k in range(3)
        for cell in ("centre", "top right")
    ]
    for one, scene in zip(measure_scenes(render_scenes(scenes)), scenes, strict=True):
        if one.scene.attributes.noun == "moon":
            assert np.hypot(*np.subtract(one.scene.centre, scene.centre)) < 2


@pytest.mark.slow
def test_errors_on_fresh_scenes_as_rendered_and_blurred():
    scenes = draw_any_scenes(150, seed=202, name="test")
    pictures = render_scenes(scenes)
    both = torch.cat([pictures, distort(pictures, "blur and noise, 25 dB")])
    measured = measure_scenes(both)
    for found in (measured[:150], measured[150:]):
        pairs = list(zip(found, scenes, strict=True))
        for name, word in WORDS.items():
            assert np.mean([word(m.scene) == word(s) for m, s in pairs]) >= 0.96, name
        for instrument in INSTRUMENTS:
            errors = np.array([instrument.error(m.scene, s) for m, s in pairs])
            assert np.mean(errors < instrument.tolerance) >= 0.95, instrument.name
