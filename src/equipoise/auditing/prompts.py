"""A file of prompts: one a line, UTF-8; empty lines are skipped."""

from pathlib import Path

from equipoise.errors import BadInputError
from equipoise.images import show_path


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


def _explain(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (error.strerror or "it cannot be opened").lower()
