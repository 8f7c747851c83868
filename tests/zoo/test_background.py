import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equipoise.zoo.background import find_background, fit_waves, measure_colours, name_colours
from equipoise.zoo.scene import COLOURS

Y, X = np.indices((64, 64)) + 0.5 - 32


def paint(wavelength, direction, phase, *, amplitude=14.0, colour=(90, 110, 130)):
    """A wave by its textbook formula, with a white patch laid over a part of it."""
    a = np.deg2rad(direction)
    along = (X * np.cos(a) + Y * np.sin(a)) / wavelength
    wave = amplitude * np.cos(2 * np.pi * along + np.deg2rad(phase))
    picture = np.array(colour)[:, None, None] + wave
    picture[:, 15:45, 20:50] = 255
    return torch.from_numpy(picture.round().clip(0, 255).astype(np.uint8))[None]


@settings(max_examples=8, derandomize=True, deadline=None)
@example(wavelength=15.0, direction=1.0, phase=0.0)
@given(
    wavelength=st.floats(9, 16), direction=st.floats(0, 179.9), phase=st.floats(0, 359.9)
)  # fmt: skip
def test_a_wave_is_found_around_what_hides_it(wavelength, direction, phase):
    picture = paint(wavelength, direction, phase)
    waves = fit_waves(picture, find_background(picture, measure_colours(picture)))
    found = waves.textures[0]
    assert 0 <= found.direction < 180
    assert 0 <= found.phase < 360
    a, b = np.deg2rad(found.direction), np.deg2rad(direction)
    f = np.array([np.cos(a), np.sin(a)]) / found.wavelength
    g = np.array([np.cos(b), np.sin(b)]) / wavelength
    sign = 1 if np.linalg.norm(f - g) < np.linalg.norm(f + g) else -1
    assert np.linalg.norm(sign * f - g) < 0.001  # a sixteenth of a period over the picture
    off = sign * found.phase - phase
    assert abs((off + 180) % 360 - 180) < 6
    assert float(waves.amplitude[0]) == pytest.approx(14, abs=0.3)
    assert float(waves.explained[0]) > 0.98


def test_a_flat_background_has_no_wave():
    picture = paint(10, 30, 0, amplitude=0.0)
    waves = fit_waves(picture, find_background(picture, measure_colours(picture)))
    assert float(waves.amplitude[0]) < 0.1


def test_noise_is_not_taken_for_a_wave():
    noise = 10 * torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    pictures = (noise + 120).round().to(torch.uint8)
    waves = fit_waves(pictures, torch.ones(8, 64, 64, dtype=torch.bool))
    assert float(waves.explained.max()) < 0.05


def test_a_picture_without_background_gets_a_finite_answer():
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    waves = fit_waves(picture, torch.zeros(1, 64, 64, dtype=torch.bool))
    assert np.isfinite([*waves.textures[0], float(waves.amplitude[0])]).all()


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_measured_and_named_under_a_wave(name):
    picture = paint(12, 40, 100, colour=COLOURS[name])
    colour = measure_colours(picture)
    assert np.abs(colour[0].numpy() - COLOURS[name]).max() < 8
    assert name_colours(colour) == [name]


def test_the_background_ends_a_pixel_before_what_lies_on_it():
    picture = paint(12, 40, 100)
    free = find_background(picture, measure_colours(picture))[0].numpy()
    expected = np.ones((64, 64), dtype=bool)
    expected[14:46, 19:51] = False
    assert (free == expected).all()
