"""Where the records of strangers end: whatever a page cannot make of one becomes one clear error.

A run folder may come from anywhere. Texts, missing entries and odd numbers have their place on a
page; a record whose shape is another one has none, and no reader can list all such shapes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import TemplateError
from safetensors import SafetensorError

from equipoise.errors import RunError
from equipoise.runs import Run

MISFITS = (ArithmeticError, AttributeError, LookupError, TemplateError, TypeError, ValueError)
"""What reading entries of another shape ends in."""


@contextmanager
def tell_damage(run: Run, what: str, told: str) -> Iterator[None]:
    """Turn what reading a damaged file of arrays ends in into an error that names it.

    Args:
        run: The run.
        what: What the arrays are.
        told: Name of the file below `tensors`, and what it must hold or what is wrong with it.

    Raises:
        RunError: when the file or an array in it is missing or damaged.
    """
    try:
        yield
    except (OSError, KeyError, SafetensorError) as error:
        raise RunError(
            f'The {what} of "{run.path}" cannot be read: tensors/{told}. Copy the whole folder '
            "again, or repeat the run."
        ) from error


@contextmanager
def tell_misfit(run: Run) -> Iterator[None]:
    """Turn what goes wrong while a run is shown into an error that names the run.

    Raises:
        RunError: when the run holds something that no page of its kind can show.
    """
    try:
        yield
    except RunError:
        raise
    except MISFITS as error:
        raise RunError(
            f'"{run.path}" cannot be shown: what it holds does not fit a page of kind '
            f'"{run.record.kind}" ({type(error).__name__}: {error}). Copy the whole folder again, '
            "or repeat the run."
        ) from error
