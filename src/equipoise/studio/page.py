"""Pages and results of the studio: the templates of this room, in the language of the reports."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equipoise.report.render import build_environment
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import PREFIX
from equipoise.zoo.recipe import RECIPES

if TYPE_CHECKING:
    from equipoise.studio.context import Studio

TABS: Mapping[str, str] = {
    "inspect": "Inspect", "steer": "Steer", "watch": "Watch", "theory": "Theory", "runs": "Runs",
}  # fmt: skip
"""What the studio has pages for, in their order."""
ROOMS = ("studio", "report")
"""Whose templates its pages are made of."""


def render_page(tab: str, studio: "Studio") -> str:
    """Render the page of a tab."""
    from equipoise.studio.library import list_entries
    from equipoise.studio.steering import list_vectors

    return build_environment(*ROOMS).get_template(f"{tab}.html.j2").render(
        tab=tab, tabs=TABS, models=[f"{PREFIX}{name}" for name in RECIPES], classes=CLASSES,
        vectors=list_vectors(studio), entries=list_entries(studio.runs), folder=str(studio.runs),
    )  # fmt: skip


def render_result(form: str, /, **values: Any) -> str:  # noqa: ANN401 - what a template shows
    """Render the result of a task as a piece of HTML."""
    return build_environment(*ROOMS).get_template(f"{form}_result.html.j2").render(**values)
