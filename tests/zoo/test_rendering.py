import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.zoo.emoji import load_emoji
from equipoise.zoo.rendering import (
    render_coverage,
    render_emoji,
    render_scenes,
    render_texture,
)
from equipoise.zoo.scene import (
    COLOURS,
    SHAPE_RADIUS,
    TEXTURE_AMPLITUDE,
    Attributes,
    Texture,
    draw_scene,
)

SCENE = draw_scene(Attributes("rocket", "twitter", "green", "medium", "top left"), seed=3, name="")


def test_a_picture_is_a_function_of_its_record():
    first, again = render_scenes([SCENE, SCENE])
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)


def test_an_upright_emoji_of_full_size_is_its_source():
    emoji = render_emoji("cat", "google", side=64.0, angle=0.0, centre=(32.0, 32.0))
    source = np.asarray(load_emoji("cat", "google")).astype(float)
    # Twice the resolution and back is a slight blur, not a shift.
    assert np.abs(emoji.alpha - source[..., 3] / 255).mean() < 0.01
    assert np.abs(emoji.colour.transpose(1, 2, 0) - source[..., :3]).mean() < 3


def test_a_quarter_turn_goes_counter_clockwise():
    emoji = render_emoji("rocket", "google", side=64.0, angle=90.0, centre=(32.0, 32.0))
    turned = np.asarray(load_emoji("rocket", "google").transpose(Image.Transpose.ROTATE_90))
    assert np.abs(emoji.alpha - turned[..., 3] / 255.0).mean() < 0.01


@pytest.mark.parametrize(("dx", "dy"), [(0.25, 0.0), (1.5, -2.75), (-4.0, 3.4)])
def test_an_emoji_moves_by_parts_of_a_pixel(dx, dy):
    def middle(x, y):
        alpha = render_emoji("apple", "google", side=24.0, angle=20.0, centre=(x, y)).alpha
        rows, columns = np.indices(alpha.shape)
        return np.array([(columns * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()

    shift = middle(32.0 + dx, 32.0 + dy) - middle(32.0, 32.0)
    assert shift == pytest.approx([dx, dy], abs=0.03)


@pytest.mark.parametrize("kind", ["disc", "square", "triangle"])
def test_the_shapes_have_one_area_and_their_place(kind):
    coverage = render_coverage(kind, x=20.3, y=40.7)
    assert coverage.sum() == pytest.approx(np.pi * SHAPE_RADIUS**2, rel=0.01)
    rows, columns = np.indices(coverage.shape) + 0.5
    place = [(columns * coverage).sum(), (rows * coverage).sum()] / coverage.sum()
    assert place == pytest.approx([20.3, 40.7], abs=0.05)


def test_the_texture_is_the_wave_that_its_numbers_say():
    wave = render_texture(Texture(wavelength=16.0, direction=0.0, phase=90.0))
    x = np.arange(64) + 0.5 - 32
    assert wave == pytest.approx(np.tile(-np.sin(2 * np.pi * x / 16), (64, 1)), abs=1e-12)


def test_background_emoji_and_shape_are_where_the_record_says():
    picture = render_scenes([SCENE])[0].double().numpy()
    shape = SCENE.nuisances.shape
    seen = picture[:, int(shape.y), int(shape.x)]
    assert np.abs(seen - shape.rgb).max() < 1.5
    wave = TEXTURE_AMPLITUDE * render_texture(SCENE.nuisances.texture)
    green = np.array(COLOURS["green"])[:, None, None] + wave
    emoji = render_emoji(
        "rocket", "twitter", side=28.0, angle=SCENE.nuisances.angle, centre=SCENE.centre
    )
    free = (emoji.alpha == 0) & (render_coverage(shape.kind, x=shape.x, y=shape.y) == 0)
    assert free.sum() > 2000
    assert np.abs(picture - green)[:, free].max() <= 0.5
    solid = emoji.alpha == 1
    assert np.abs(picture - emoji.colour)[:, solid].max() <= 0.5
