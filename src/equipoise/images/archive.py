"""Tars of pictures, as WebDataset writes them: members are read in place, nothing is unpacked.

Pictures are told by their suffix, as in folders; captions and other members are counted. A tar
that is cut short or damaged keeps the pictures before the damage, and one item says the rest.
Compressed tars cannot be read in place and are not among the suffixes looked for.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import PurePosixPath
from typing import Any, cast

from equipoise.images.listing import Entry, Place, looks_like_picture, show_path
from equipoise.images.reading import MAX_BYTES
from equipoise.images.shard import explain, measure_size, open_file

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Member:
    """Where a picture lies in its tar."""

    name: str
    offset: int
    size: int
    error: str | None = None


@dataclass(frozen=True)
class TarShard:
    """The pictures of one tar, in its order."""

    source: str
    place: Place
    members: tuple[Member, ...]
    other_files: dict[str, int]

    def __len__(self) -> int:
        return len(self.members)

    def describe(self) -> Iterator[str]:
        """Say source and size, and the name of every picture."""
        yield f"{self.source}|{measure_size(self.place)}"
        for member in self.members:
            yield f"{len(member.name)}|{member.name}|{member.size}|{member.error}"

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the pictures as encoded bytes."""
        members = self.members[start:stop]
        try:
            file = open_file(self.place)
        except Exception as error:  # every back end has its own
            for member in members:
                reason = member.error or f"cannot be read: {explain(error)}"
                yield Entry(self._name(member), b"", reason)
            return
        with file:
            for member in members:
                yield self._read_member(file, member)

    def _name(self, member: Member) -> str:
        return f"{self.source}/{member.name}" if member.name else self.source

    def _read_member(self, file: BufferedReader, member: Member) -> Entry:
        source = self._name(member)
        if member.error is not None:
            return Entry(source, b"", member.error)
        try:
            file.seek(member.offset)
            content = file.read(member.size)
        except Exception as error:  # every back end has its own
            return Entry(source, b"", f"cannot be read: {explain(error)}")
        cut = len(content) < member.size
        return Entry(source, content, "cut short: the tar ends within it" if cut else None)


def open_tar(source: str, place: Place) -> TarShard:
    """List the members of a tar."""
    members: list[Member] = []
    others: Counter[str] = Counter()
    with open_file(place) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    if info.size < 0 or tar.offset <= info.offset:  # it would be read for ever
                        raise tarfile.ReadError("a size below zero")
                    name = PurePosixPath(info.name).name
                    if info.isreg() and looks_like_picture(name):
                        members.append(_describe(info))
                    elif not info.isdir():
                        others[show_path(PurePosixPath(name).suffix.lower())] += 1
                    cast("Any", tar).members.clear()  # or it keeps every header
            fault = _find_fault(file, tar.offset)
        except (tarfile.TarError, ValueError, OSError) as error:
            fault = explain(error)
    if fault is not None:
        members.append(Member("", 0, 0, f"damaged tar: {fault}; pictures after it are lost"))
    return TarShard(source, place, tuple(members), dict(sorted(others.items())))


def _describe(info: tarfile.TarInfo) -> Member:
    name = show_path(info.name)
    if info.issparse():
        return Member(name, 0, 0, "a sparse member; write the tar without --sparse")
    if info.size > MAX_BYTES:
        return Member(name, 0, 0, f"{info.size:,} bytes, over the limit of {MAX_BYTES:,}")
    return Member(name, info.offset_data, info.size)


def _find_fault(file: BufferedReader, end: int) -> str | None:
    """Say why a tar ends where it ends: `tarfile` takes a bad header for the end."""
    file.seek(end)
    block = file.read(BLOCK)
    if not block:
        return "it ends without a mark of its end"
    return "a header that is none" if block.strip(b"\0") or len(block) < BLOCK else None
