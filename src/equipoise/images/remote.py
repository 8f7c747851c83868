"""Files behind URLs (`s3://`, `gs://`, `hf://`, `memory://`), by fsspec.

Nothing is kept on the disk. What a protocol needs besides (s3fs, gcsfs, adlfs) is the user's to
install, and credentials are found as fsspec finds them. `file://` is a local path and follows the
rules of local paths.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from equipoise.errors import BadInputError


@dataclass(frozen=True)
class RemoteFile:
    """A file of a file system of fsspec."""

    system: Any
    """fsspec's file system."""
    path: str
    """Where the file is, in the words of the file system."""
    size: int | None = None
    """Bytes, where the listing told."""

    def open(self) -> io.BufferedReader:
        """Open the file for reading; it can be searched."""
        return io.BufferedReader(self.system.open(self.path, "rb"))


def is_url(text: str) -> bool:
    """Say whether a text is a URL and no path."""
    return "://" in text


def find_remote(url: str) -> RemoteFile:
    """Point to one file without asking whether it is there.

    Raises:
        BadInputError: when nothing here speaks the protocol.
    """
    from fsspec.core import url_to_fs

    with _told(url):
        return RemoteFile(*url_to_fs(url))


def list_remote(url: str) -> dict[str, RemoteFile]:
    """List the files below a URL, those that its `*` match, or the one it names.

    Returns:
        The files by their path below the URL; by their last name where it matches or is one.

    Raises:
        BadInputError: when there is nothing, or it cannot be asked.
    """
    root = find_remote(url)
    with _told(url):
        below = root.path.rstrip("/") + "/"
        if "*" in root.path:
            found = root.system.glob(root.path, detail=True)
            below = below[: below.index("*")].rpartition("/")[0] + "/"
        elif root.system.isdir(root.path):
            found = root.system.find(root.path, detail=True)
        else:
            found = {root.path: root.system.info(root.path)}
            below = root.path.rpartition("/")[0] + "/"
    return {
        path.removeprefix(below): RemoteFile(root.system, path, about.get("size"))
        for path, about in found.items()
        if about.get("type") == "file"
    }


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Tell what a file system raises, of any type, as what it is: nothing can be read there."""
    try:
        yield
    except ImportError as error:
        raise BadInputError(
            f'"{url}" cannot be opened: {error}. Install it (`pip install s3fs` for s3://, gcsfs '
            "for gs://, adlfs for az://), or give a local path."
        ) from error
    except Exception as error:  # every back end has its own
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(
            f'"{url}" cannot be listed: {words[:200]}. Give a URL that can be read from here.'
        ) from error
