"""The errors a user can meet; each has a section in docs/errors.md under its slug.

Grammar of a message: what failed, what was given, what is allowed, what to do, and the slug in
brackets. Assertions guard our own invariants only; whatever a user can cause is one of these.
"""

from difflib import get_close_matches


class EquipoiseError(ValueError):
    """Base of every error equipoise raises on purpose."""

    slug = "error"

    def __init__(self, message: str) -> None:
        mark = f" [{self.slug}]"  # there already when another process raised it
        super().__init__(message if message.endswith(mark) else message + mark)


class BadInputError(EquipoiseError):
    """An argument, a file or a folder is not what the call needs."""

    slug = "bad-input"


class UnreadablePictureError(BadInputError):
    """A file is no picture of an allowed format, is damaged, or is too large."""

    slug = "unreadable-picture"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class UnsafeFileError(BadInputError):
    """A checkpoint asks for more than weights, or contradicts itself; nothing of it was run."""

    slug = "unsafe-file"


class UnknownSiteError(EquipoiseError):
    """No module of the network has the wanted name, or no name matches the glob."""

    slug = "unknown-site"


class CaptureError(EquipoiseError):
    """A captured site fired never, or more than once, in one forward."""

    slug = "capture"


class CalibrationError(EquipoiseError):
    """A calibration cannot keep the wanted promise, or belongs to another model or spec."""

    slug = "calibration"


class UnknownModelError(EquipoiseError):
    """No model of the zoo, or no file, has the given name."""

    slug = "unknown-model"


class NonFiniteError(EquipoiseError):
    """Weights, an item or a score holds NaN or infinity."""

    slug = "non-finite"


class RunError(EquipoiseError):
    """A run folder is missing, unfinished, locked, or of another kind or version."""

    slug = "run"


def quote(text: object) -> str:
    """Quote a name that a file brought along: cut short, control characters escaped."""
    return f'"{ascii(str(text)[:80])[1:-1]}"'


def closest(wanted: str, names: list[str], *, count: int = 3) -> str:
    """Name the entries of `names` most like `wanted`, quoted, for an error message."""
    matches = get_close_matches(wanted, names, n=count, cutoff=0.3) or names[:count]
    return ", ".join(f'"{name}"' for name in matches)
