"""A store: all the items that a name stands for, whatever holds them, in one order.

    folder                 its pictures; where it has none, the shards in it
    pattern with * or ?    pictures and shards
    .txt                   one path or URL a line
    .parquet .arrow .tar   the pictures inside, see `table` and `archive`
    s3://... and others    the same behind a URL, see `remote`

An item is told by its source: the path below the folder, `FILE#ROW` in a table, `TAR/MEMBER` in a
tar. Only what tells the items apart is kept in memory, never their bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from equipoise.errors import BadInputError
from equipoise.images.archive import TarShard, open_tar
from equipoise.images.listing import (
    SHARD_SUFFIXES,
    SUFFIXES,
    Entry,
    Listing,
    Place,
    list_matches,
    list_pictures,
    list_shards,
    looks_like_picture,
    looks_like_shard,
    show_path,
)
from equipoise.images.remote import is_url, list_remote
from equipoise.images.shard import FileShard, Shard, explain
from equipoise.images.table import open_arrow, open_parquet

_OPENERS: dict[str, Callable[[str, Place], Shard]] = {
    ".parquet": open_parquet,
    ".arrow": open_arrow,
    ".tar": open_tar,
}


@dataclass(frozen=True)
class Store:
    """Items, shard after shard."""

    shards: tuple[Shard, ...]
    other_files: dict[str, int]
    """Files that are no items, counted by suffix; "" = hidden without a suffix."""

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield exactly the items from `start` to before `stop`; those of shards with bytes."""
        first = 0
        for shard in self.shards:
            low, high = max(start - first, 0), min(stop - first, len(shard))
            if low < high:
                yield from shard.read(low, high)
            first += len(shard)

    def list_files(self) -> dict[str, Path]:
        """List where the items lie that are files of their own, by source; nothing is read."""
        shards = [shard for shard in self.shards if isinstance(shard, FileShard)]
        entries = [entry for shard in shards for entry in shard.read(0, len(shard))]
        return {one.source: one.content for one in entries if isinstance(one.content, Path)}

    def hash(self) -> str:
        """Hash sources, sizes and known errors: a store that changed is another one."""
        digest = hashlib.blake2b(digest_size=16)
        for shard in self.shards:
            for line in shard.describe():
                digest.update(f"{line}\n".encode())
        return digest.hexdigest()


def open_store(images: str | Path) -> Store:
    """List the items of a folder, a pattern, a list, a file, or of one of these behind a URL.

    Raises:
        BadInputError: when there is nothing of that name, no item in it, or a single file that
            cannot be opened.
    """
    listing = _list(images)
    shards: list[Shard] = []
    others = Counter(listing.other_files)
    for is_shard, entries in groupby(listing.entries, key=_is_shard):
        if not is_shard:
            shards.append(FileShard(tuple(entries)))
            continue
        for entry in entries:
            shard = _open_shard(entry, alone=len(listing.entries) == 1)
            others.update(shard.other_files if isinstance(shard, TarShard) else {})
            shards.append(shard)
    store = Store(tuple(shards), dict(sorted(others.items())))
    if not len(store):
        raise BadInputError(f'"{show_path(images)}" holds no item: its tables are empty.')
    return store


def _list(images: str | Path) -> Listing:
    text = str(images)
    if not text:
        raise BadInputError(
            'The name of the images is empty. Give a folder, a pattern or a file; "." is the '
            "folder you are in."
        )
    if text.startswith("file://"):
        return _list(Path(text.removeprefix("file://")))
    if is_url(text):
        return _list_url(text)
    path = Path(images)
    if not path.exists() and any(letter in text for letter in "*?["):
        return list_matches(text)
    try:
        return list_pictures(path)
    except BadInputError:
        shards = list_shards(path) if path.is_dir() else None
        if not shards or not shards.entries:
            raise
        return shards


def _list_url(url: str) -> Listing:
    files = sorted(list_remote(url).items(), key=lambda pair: pair[0].encode())
    names = {name: PurePosixPath(name).name for name, _ in files}
    alone = len(files) == 1
    for wanted in (looks_like_picture, looks_like_shard):
        entries = [Entry(name, file, None) for name, file in files if wanted(names[name])]
        if entries:
            left = [PurePosixPath(n).suffix.lower() for n in names.values() if not wanted(n)]
            return Listing(tuple(entries), dict(Counter(left)))
    if alone:
        return Listing(tuple(Entry(name, file, None) for name, file in files), {})
    raise BadInputError(
        f'"{url}" holds no picture, only {len(files)} other files. Looked for '
        f"{' '.join((*SUFFIXES, *SHARD_SUFFIXES))}. Give another URL."
    )


def _is_shard(entry: Entry) -> bool:
    return entry.error is None and looks_like_shard(PurePosixPath(entry.source).name)


def _open_shard(entry: Entry, *, alone: bool) -> Shard:
    """Open a file of many pictures; one that cannot be opened is an item with the reason."""
    assert not isinstance(entry.content, bytes)
    suffix = PurePosixPath(entry.source).suffix.lower()
    try:
        return _OPENERS[suffix](entry.source, entry.content)
    except Exception as error:  # pyarrow and fsspec promise no type
        if alone and isinstance(error, BadInputError):
            raise
        if alone:
            raise BadInputError(
                f'"{show_path(entry.source)}" cannot be read as {suffix[1:]}: {explain(error)}'
            ) from error
        return FileShard((Entry(entry.source, entry.content, explain(error)),))
