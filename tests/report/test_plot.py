import numpy as np
import pytest

from equipoise.report.plot import (
    Curve,
    Group,
    Line,
    render_heatmap,
    render_histogram,
    render_profile,
    render_roc,
)


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


def draw_heatmap(values, lines=(), *, percent=False):
    return render_heatmap(
        values, rows=(2, 4), columns=(8, 16, 32), lines=lines, name="map", xlabel="images",
        ylabel="units", percent=percent,
    )  # fmt: skip


def test_a_heat_map_tells_every_value_and_both_scales():
    text = draw_heatmap(np.array([[0.0, 0.25, 0.5], [0.75, 0.9, 1.0]]), percent=True)
    for piece in (">0<", ">25<", ">75<", ">100<", ">8<", ">32<", "images", "units", "var(--warm)"):
        assert piece in text
    assert ">0.25<" in draw_heatmap(np.array([[0.0, 0.25, 0.5], [0.75, 0.9, 1.0]]))


def test_the_highest_cell_is_the_darkest():
    import re

    text = draw_heatmap(np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 2.0]]))
    found = re.findall(r"opacity: ([0-9.]+)", text)
    strengths = sorted({float(value) for value in found})
    assert strengths[0] == 0
    assert strengths[-1] == pytest.approx(0.55)


def test_equal_cells_can_be_drawn():
    assert "<svg" in draw_heatmap(np.ones((2, 3)))


def test_a_line_passes_through_the_cells_of_its_numbers():
    """Cells are one wide, and the number of a cell lies in its middle."""
    from equipoise.report.plot import _place

    assert _place(np.array([8.0, 16.0, 32.0]), (8, 16, 32)) == pytest.approx([0.5, 1.5, 2.5])
    assert _place(np.array([4.0, 64.0]), (8, 16, 32)) == pytest.approx([-0.5, 3.5])
    line = Line("cool", np.array([8.0, 32.0]), np.array([2.0, 4.0]))
    assert "var(--cool)" in draw_heatmap(np.ones((2, 3)), [line])
