import re
from xml.etree import ElementTree

from equipoise.report.vector import TONES, build_figure, render_svg


def draw(name):
    figure = build_figure(100, 60)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=TONES["warm"])
    axes.set_xlabel("a < b & c", color=TONES["ink"])
    return str(render_svg(figure, name=name))


def test_colours_are_those_of_the_page():
    text = draw("one")
    assert "var(--warm)" in text
    assert "var(--ink)" in text
    assert "#0102" not in text


def test_text_stays_text_and_is_escaped():
    text = draw("one")
    assert "a &lt; b &amp; c" in text
    assert "DejaVu" not in text


def test_the_picture_is_well_formed_and_the_same_twice():
    text = draw("one")
    assert text == draw("one")
    assert ElementTree.fromstring(text).tag == "svg"  # our own text, nothing foreign is parsed


def test_two_pictures_share_no_identifier():
    first, second = (set(re.findall(r'\bid="([^"]+)"', draw(name))) for name in ("one", "two"))
    assert first
    assert not first & second
