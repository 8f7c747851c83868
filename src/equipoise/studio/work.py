"""What a studio can be asked to do, by the name of its form."""

from collections.abc import Callable, Mapping
from typing import Any

from equipoise.studio.context import Studio
from equipoise.studio.inspection import inspect_picture
from equipoise.studio.lesson import train_lesson
from equipoise.studio.steering import steer_outputs
from equipoise.studio.task import Work
from equipoise.studio.watching import compare_runs, watch_run

__all__ = ["WORKS", "Studio"]

WORKS: Mapping[str, Callable[[Studio, Mapping[str, Any]], Work]] = {
    "compare": compare_runs,
    "inspect": inspect_picture,
    "steer": steer_outputs,
    "theory": train_lesson,
    "watch": watch_run,
}
