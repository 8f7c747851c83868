"""What the tabs share: the models that are open, the folder of runs, the fields of a form."""

import base64
import binascii
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.auditing.subject import Subject, open_subject
from equipoise.errors import BadInputError
from equipoise.images import read_picture
from equipoise.zoo.package import PREFIX, ZooModel, load_zoo

KEPT = 2
"""Models that stay open."""


@dataclass
class Studio:
    """A folder of runs, a device, and the models asked for last."""

    runs: Path
    device: str = "cpu"
    _open: dict[str, Subject] = field(default_factory=dict)

    def open(self, name: str) -> Subject:
        """Open a model, or take the open one.

        Raises:
            UnknownModelError, BadInputError, UnsafeFileError: when it cannot be loaded.
        """
        if name not in self._open:
            self._open[name] = open_subject(name, device=self.device)
            for old in list(self._open)[:-KEPT]:
                del self._open[old]
        return self._open[name]

    def open_truth(self, subject: Subject) -> ZooModel | None:
        """Return the training set that is known of a model of the zoo; None of any other."""
        name = subject.name
        return load_zoo(name) if name.startswith(PREFIX) else None

    @property
    def vectors(self) -> Path:
        """Folder of the concept vectors that were made here."""
        return self.runs / "vectors"


def get_text(fields: Mapping[str, Any], name: str) -> str:
    """Read a field of a form as text; missing is empty."""
    entry = fields.get(name)
    return "" if entry is None else str(entry).strip()


def get_number(
    fields: Mapping[str, Any], name: str, *, low: float | int, high: float | int
) -> float:
    """Read a field of a form as a number between two bounds.

    Raises:
        BadInputError: when it is none.
    """
    told = get_text(fields, name)
    try:
        number = float(told)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise BadInputError(f'"{name}" must be a number from {low:g} to {high:g}, not "{told}".')
    return number


def get_count(fields: Mapping[str, Any], name: str, *, low: int, high: int) -> int:
    """Read a field of a form as a whole number between two bounds."""
    return round(get_number(fields, name, low=low, high=high))


def get_pictures(
    fields: Mapping[str, Any], name: str, shape: Sequence[int]
) -> UInt8[Tensor, "case channel height width"]:
    """Read the files of a field as pictures in the shape of a model.

    Raises:
        BadInputError: when there is none.
        UnreadablePictureError: when one cannot be read.
    """
    uploads = fields.get(name)
    if not isinstance(uploads, list) or not uploads:
        raise BadInputError(f'No picture was given for "{name}": choose one or more files.')
    return torch.stack([_read(upload, tuple(shape)) for upload in uploads])


def _read(upload: object, shape: tuple[int, ...]) -> UInt8[Tensor, "channel height width"]:
    """Read an upload by the rule of all pictures, which reads files."""
    try:
        content = base64.b64decode(str(upload), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInputError("A file did not arrive whole; send it again.") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        return read_picture(path, shape).pixels
