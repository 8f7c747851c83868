import numpy as np
import pytest
import torch

from equipoise.zoo.pose import find_poses, refine_peak
from equipoise.zoo.rendering import render_emoji

COLOUR = torch.tensor([[70.0, 108.0, 214.0]], dtype=torch.float64)


def place(noun, *, side, angle, centre):
    emoji = render_emoji(noun, "google", side=side, angle=angle, centre=centre)
    background = COLOUR[0].numpy()[:, None, None]
    difference = (1 - emoji.alpha) * background + emoji.colour - background
    return torch.from_numpy(difference)[None]


@pytest.mark.parametrize(
    ("size", "side", "angle", "centre"),
    [
        ("small", 22.0, 17.0, (21.3, 40.8)),
        ("medium", 28.0, -29.0, (44.6, 19.1)),
        ("large", 36.0, 2.5, (33.0, 30.5)),
    ],
)
def test_an_emoji_is_found_where_it_was_put(size, side, angle, centre):
    (pose,) = find_poses(
        place("rocket", side=side, angle=angle, centre=centre), COLOUR, [("rocket", "google")]
    )
    assert pose.size == size
    assert pose.centre == pytest.approx(centre, abs=0.5)
    assert pose.angle == pytest.approx(angle, abs=3)


def test_the_gain_is_the_fall_of_the_sum_of_squares():
    # At a place and angle of the grid the best template is the emoji itself.
    difference = place("rocket", side=28.0, angle=12.0, centre=(30.0, 35.0))
    noise = 5 * torch.randn(difference.shape, generator=torch.Generator().manual_seed(0))
    (pose,) = find_poses(difference + noise, COLOUR, [("rocket", "google")])
    before = float(((difference + noise) ** 2).sum())
    after = float((noise**2).sum())
    assert pose.angle == pytest.approx(12, abs=1)
    assert pose.gain == pytest.approx(before - after, rel=1e-4)


def test_an_empty_picture_has_no_gain():
    (pose,) = find_poses(torch.zeros(1, 3, 64, 64).double(), COLOUR, [("rocket", "google")])
    assert pose.gain < 0


@pytest.mark.parametrize("top", [-0.4, 0.0, 0.31])
def test_a_parabola_is_refined_exactly(top):
    values = 3 - 2 * (np.arange(-3, 4) - top) ** 2
    assert refine_peak(values, 3) == pytest.approx(top)


def test_a_peak_at_the_end_or_on_a_plain_stays():
    assert refine_peak(np.array([3.0, 2.0, 1.0]), 0) == 0
    assert refine_peak(np.array([1.0, 2.0, 3.0]), 2) == 0
    assert refine_peak(np.ones(5), 2) == 0
