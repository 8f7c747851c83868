"""A shard: items that are read in order, one file of many or many files of one.

Which items a shard holds is known before any of them is read, so that an audit can be cut into
parts; what cannot be read then is an item with its reason. Shards of tables are in `table`, those
of tars in `archive`.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from equipoise.images.listing import Entry, Place
from equipoise.images.remote import RemoteFile


@runtime_checkable
class Shard(Protocol):
    """Items in order."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield exactly the items from `start` to before `stop`."""
        ...

    def describe(self) -> Iterator[str]:
        """Say in lines what the shard is, so that a change of it is noticed."""
        ...


@dataclass(frozen=True)
class FileShard:
    """Pictures that are files of their own, and what is known not to be one."""

    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the entries as they were listed; nothing is opened."""
        yield from self.entries[start:stop]

    def describe(self) -> Iterator[str]:
        """Say source and size, or the known error, of every file."""
        for entry in self.entries:
            known = entry.error
            if known is None and not isinstance(entry.content, bytes):
                known = measure_size(entry.content)
            yield f"{len(entry.source)}|{entry.source}|{known}"


def measure_size(place: Place) -> int:
    """Say how many bytes a file has; -1 when it is not known."""
    if isinstance(place, RemoteFile):
        return -1 if place.size is None else place.size
    try:
        return place.stat().st_size
    except OSError:
        return -1  # gone meanwhile: reading it will say so


def open_file(place: Place) -> io.BufferedReader:
    """Open a file, here or behind a URL."""
    return place.open("rb") if isinstance(place, Path) else place.open()


def explain(error: Exception) -> str:
    """Say in a few words what a reader raised, of any type."""
    return " ".join(str(error).split())[:120] or type(error).__name__
