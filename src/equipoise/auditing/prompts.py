"""A file of prompts, UTF-8: one a line, or a CSV file with a column of them.

Empty lines are skipped. The column of a CSV file is called prompt, caption or text.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from equipoise.errors import BadInputError
from equipoise.images import show_path

COLUMNS = ("prompt", "caption", "text")


def read_prompts(path: Path) -> tuple[str, ...]:
    """Read the prompts of a file, in order.

    Raises:
        BadInputError: when it cannot be read as text, or holds no prompt.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f'Cannot read prompts from "{show_path(path)}": {_explain(error)}. Give a text file '
            "in UTF-8 with one prompt a line."
        ) from error
    if path.suffix.lower() == ".csv":
        lines = _take_column(lines, path)
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise BadInputError(
            f'"{show_path(path)}" holds no prompt: every line is empty. Write one prompt a line.'
        )
    return prompts


def read_asked(path: Path | None, generate: int | None) -> tuple[str, ...]:
    """Read what fresh outputs are asked for; nothing without a file.

    Raises:
        BadInputError: when no outputs are drawn, or the file cannot be read.
    """
    if path is None:
        return ()
    if generate is None:
        raise BadInputError(
            "--prompts FILE says what fresh outputs are asked for: give --generate N as well."
        )
    return read_prompts(path)


def _take_column(lines: Sequence[str], path: Path) -> list[str]:
    """Return the column of prompts of a CSV file; its first line names the columns."""
    reader = csv.DictReader(lines)
    named = {name.strip().lower(): name for name in reader.fieldnames or ()}
    column = next((named[name] for name in COLUMNS if name in named), None)
    if column is None:
        raise BadInputError(
            f'Cannot find the prompts in "{show_path(path)}": no column is called '
            f"{', '.join(COLUMNS)}. Name one so in the first line, or give a text file with one "
            "prompt a line."
        )
    return [row[column] or "" for row in reader]


def _explain(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (error.strerror or "it cannot be opened").lower()
