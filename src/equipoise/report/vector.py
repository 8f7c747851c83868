"""A matplotlib figure as inline SVG that follows the colours of the page.

The figure is drawn with stand-in colours; in the text of the SVG each becomes a CSS variable, so
one picture serves light, dark and print. Identifiers are prefixed, as many figures share a page.
"""

import io
import re
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

TONES = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "warm": "#010206",
    "cool": "#010207",
    "grey": "#010208",
}
"""Stand-in colour of each CSS variable of style.css."""

STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "axes.edgecolor": TONES["muted"],
    "axes.labelcolor": TONES["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": TONES["line"],
    "grid.linewidth": 0.8,
    "text.color": TONES["ink"],
    "xtick.color": TONES["muted"],
    "ytick.color": TONES["muted"],
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
}


def build_figure(width: int, height: int) -> Figure:
    """Start a figure of this many CSS pixels."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")


def render_svg(figure: Figure, *, name: str) -> Markup:
    """Turn the figure into an `<svg>` element; `name` is unique on the page."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"equipoise-{name}"}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return Markup(_clean(buffer.getvalue(), name))  # our own drawing, no foreign text


def _clean(text: str, name: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'<svg width="[^"]*" height="[^"]*"', '<svg aria-hidden="true"', text, count=1)
    text = text.replace("xlink:href=", "href=")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
    for tone, stand_in in TONES.items():
        text = text.replace(stand_in, f"var(--{tone})")
    return re.sub(r"\s*\n\s*", "\n", text).strip()
