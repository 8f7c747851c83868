import numpy as np
import pytest

from equipoise.report.plot import Curve, Group, render_histogram, render_profile, render_roc


def test_a_histogram_names_its_rows():
    scores = np.linspace(0, 1, 1234)
    text = render_histogram([Group("novel", "cool", scores), Group("copy", "warm", scores + 1)], 1)
    for piece in ("novel", "copy", "1,234", "threshold 1", "var(--cool)", "var(--warm)"):
        assert piece in text


def test_equal_scores_can_be_drawn():
    assert "<svg" in render_histogram([Group("novel", "cool", np.ones(3))], None)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("banded", [True, False])
def test_a_roc_can_be_drawn(log, banded):
    points = np.linspace(0, 1, 9)
    band = points if banded else points[:0]
    text = render_roc(Curve(points, points**0.3, band, band), promised=0.01, log=log)
    assert "copies flagged" in text
    assert ("logarithmic" in text) == log


def test_a_profile_takes_negative_units():
    values = np.array([-1.0, 0.5, 2.0], np.float32)
    assert "var(--warm)" in render_profile(values, tone="warm", limits=(-1.2, 2.2))
