"""Find the pictures of a folder, a list or a single file, without opening any of them.

Nothing is lost silently. What looks like a picture is an item: files with a suffix of
`SUFFIXES` (any case), files without a suffix unless hidden, and links of such names. What cannot
be a picture but must be told is an item with an error: links that leave the folder, lead nowhere
or in a circle, links to folders, folders that cannot be listed, and FIFOs, sockets and devices,
which would block or never end when opened. All other files (captions, thumbnails' databases)
are counted by suffix. Links to folders are never followed: inside the root their files are
listed at their own place, outside they are not the user's to audit.

Items come in the order of the bytes of their paths, on every file system. Files that hold many
pictures (`SHARD_SUFFIXES`) are listed by `list_shards` in the same way; what is in them, and what
is behind a URL, is told by `store`. Decoding the pictures is in `reading`.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import escape, iglob
from pathlib import Path

from equipoise.errors import BadInputError
from equipoise.images.remote import RemoteFile, find_remote, is_url

Place = Path | RemoteFile
"""Where a file is."""
Content = Place | bytes
"""Where a picture is, or its bytes."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SHARD_SUFFIXES = (".parquet", ".arrow", ".tar")
_NOT_REGULAR = "not a regular file but a {kind}; it is never opened"
_FOLDER = "a folder, not a picture; a list names files only"
_KINDS = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One item: a picture to be read, or the reason why it is not even opened."""

    source: str
    """Path below the listed folder, or the line of the list as written; always valid UTF-8."""
    content: Content
    """Where the picture is."""
    error: str | None
    """Why it is not opened, else nothing."""


@dataclass(frozen=True)
class Listing:
    """What a folder, a list, a pattern or a file holds."""

    entries: tuple[Entry, ...]
    """One per item, in the order of the bytes of their sources."""
    other_files: dict[str, int]
    """Files that are no items, counted by suffix in lower case; "" = hidden without a suffix."""


def list_pictures(images: Path) -> Listing:
    """List the pictures of a folder and its folders, of a list (.txt), or one picture.

    A list is UTF-8 with one path or URL a line, paths relative to the list's folder; blank lines
    are skipped.

    Raises:
        BadInputError: when there is nothing of that name, or no item in it.
    """
    kind = _kind_of(images)
    if kind == stat.S_IFDIR:
        listing = _list_folder(images, looks_like_picture)
        if not listing.entries:
            others = sum(listing.other_files.values())
            raise BadInputError(
                f'"{show_path(images)}" holds no picture, only {others} other files. Looked for '
                f"{' '.join(SUFFIXES)} and for files without a suffix, in all its folders. Give "
                "another folder, or a .txt list of paths."
            )
        return listing
    if kind != stat.S_IFREG:
        raise BadInputError(
            f'"{show_path(images)}" is {_NOT_REGULAR.format(kind=_KINDS.get(kind, "special"))}. '
            "Give a folder of pictures, one picture, or a .txt list of paths."
        )
    if images.suffix.lower() == ".txt":
        return _list_lines(images)
    return Listing((Entry(show_path(images.name), images, None),), {})


def list_shards(folder: Path) -> Listing:
    """List the files of a folder and its folders that hold many pictures; there may be none."""
    return _list_folder(folder, looks_like_shard)


def list_matches(pattern: str) -> Listing:
    """List the pictures and shards that a pattern with `*`, `?`, `[...]` or `**` matches.

    Below a `**` every folder is walked once, by whatever links it can be reached; other letters of
    the pattern follow links as a shell does.

    Raises:
        BadInputError: when it matches none.
    """
    paths = dict.fromkeys(Path(found) for found in _match(pattern))
    entries = [
        _check_path(show_path(path), path)
        for path in paths
        if looks_like_picture(path.name) or looks_like_shard(path.name)
    ]
    files = [entry for entry in entries if entry.error != _FOLDER]
    if not files:
        raise BadInputError(
            f'No picture matches "{show_path(pattern)}". Quote the pattern so that the shell '
            "leaves it alone, or give a folder."
        )
    return _sort(files)


def looks_like_picture(name: str) -> bool:
    """Say whether a file of this name is an item: a picture's suffix, or none at all."""
    suffix = _suffix(name)
    return suffix in SUFFIXES or (not suffix and not name.startswith("."))


def looks_like_shard(name: str) -> bool:
    """Say whether a file of this name holds many pictures; caches of `datasets` do not."""
    return _suffix(name) in SHARD_SUFFIXES and not name.startswith("cache-")


def show_path(path: str | os.PathLike[str]) -> str:
    r"""Write a path as valid UTF-8; bytes that are none are shown as \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _kind_of(images: Path) -> int:
    try:
        return stat.S_IFMT(images.stat().st_mode)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f'"{show_path(images)}" is not a folder, a picture or a list: {_why(error)}. '
            "Give a folder of pictures, one picture, or a .txt list of paths."
        ) from error


def _list_folder(folder: Path, wanted: Callable[[str], bool]) -> Listing:
    root = os.path.realpath(folder)
    entries: list[tuple[bytes, Entry]] = []
    others: dict[str, int] = {}
    # A stack and not recursion: folders may be nested deeper than Python calls.
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            found = _scan(folder, below)
        except OSError as error:
            if not below:
                raise BadInputError(
                    f'"{show_path(folder)}" cannot be listed: {_why(error)}. '
                    "Give a folder that you may read."
                ) from error
            reason = f"folder that cannot be listed: {_why(error)}"
            entries.append(_note(folder, below, reason))
            continue
        for name, kind in found:
            relative = f"{below}/{name}" if below else name
            if kind == stat.S_IFDIR:
                waiting.append(relative)
                continue
            is_item, reason = _judge(root, os.path.join(root, relative), wanted(name), kind)
            if is_item:
                entries.append(_note(folder, relative, reason))
            else:
                suffix = show_path(_suffix(name))
                others[suffix] = others.get(suffix, 0) + 1
    ordered = sorted(entries, key=lambda pair: pair[0])
    return Listing(tuple(entry for _, entry in ordered), dict(sorted(others.items())))


def _scan(folder: Path, below: str) -> list[tuple[str, int]]:
    """List the names in a folder with their kinds; links are told as links."""
    # Joined as a text: a deep path costs pathlib its whole depth at every step.
    with os.scandir(os.path.join(folder, below) if below else folder) as scan:
        return [(entry.name, _entry_kind(entry)) for entry in scan]


def _entry_kind(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    try:
        return stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
    except OSError:  # gone since, or not to be looked at: reading it will tell
        return stat.S_IFREG


def _note(folder: Path, relative: str, error: str | None) -> tuple[bytes, Entry]:
    return os.fsencode(relative), Entry(show_path(relative), folder / relative, error)


def _judge(root: str, path: str, is_wanted: bool, kind: int) -> tuple[bool, str | None]:
    """Say whether a file is an item, and why it must not be opened if so."""
    if kind == stat.S_IFREG:
        return is_wanted, None
    if kind == stat.S_IFLNK:
        reason, to_folder = _follow(root, path)
        return to_folder or is_wanted, reason
    return True, _NOT_REGULAR.format(kind=_KINDS.get(kind, "special"))


def _follow(root: str, link: str) -> tuple[str | None, bool]:
    """Say why a link must not be opened, and whether it leads to a folder."""
    try:
        target = os.path.realpath(link, strict=True)
        kind = stat.S_IFMT(os.stat(target).st_mode)
    except OSError as error:
        return f"link that cannot be followed: {_why(error)}", False
    to_folder = kind == stat.S_IFDIR
    if not _is_within(target, root):
        return "link that leaves the folder", to_folder
    if to_folder and _is_within(link, target):
        return "link to a folder above it (a loop)", True
    if to_folder:
        return "link to a folder whose files are listed at their own place", True
    if kind != stat.S_IFREG:
        return "link to what is " + _NOT_REGULAR.format(kind=_KINDS.get(kind, "special")), False
    return None, False


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    return "" if suffix == "." else suffix


def _list_lines(file: Path) -> Listing:
    """List the files that a list names."""
    lines = list(_read_lines(file))
    if not lines:
        raise BadInputError(
            f'The list "{show_path(file)}" names no picture. Write one path a line, absolute or '
            "relative to the list's folder."
        )
    entries = [_check_line(line, file.parent) for line in lines]
    return _sort(entries)


def _sort(entries: list[Entry]) -> Listing:
    return Listing(tuple(sorted(entries, key=lambda entry: entry.source.encode())), {})


def _read_lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f'The list "{show_path(file)}" cannot be read: {_why(error)}. '
            "Give a text in UTF-8 with one path a line."
        ) from error
    # Not splitlines(): a name may hold the rarer line ends of Unicode.
    for line in text.split("\n"):
        if line.strip():
            yield line.removesuffix("\r")


def _match(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches; `glob` would follow links in a circle, many times over."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from iglob(pattern)
        return
    place = parts.index("**")
    before, after = "/".join([*parts[:place], ""]), parts[place + 1 :] or ["*"]
    for root in iglob(before) if before else ["."]:
        for folder in _walk_once(root):
            yield from _match(os.path.join(escape(folder), *after))


def _walk_once(root: str) -> Iterator[str]:
    """Yield a folder and those below that are not hidden, each real one once."""
    seen: set[str] = set()
    for folder, below, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        below[:] = sorted(name for name in below if real not in seen and not name.startswith("."))
        if real not in seen:
            yield folder
        seen.add(real)


def _check_line(line: str, folder: Path) -> Entry:
    local = line.removeprefix("file://")
    if is_url(local):
        return Entry(line, find_remote(line), None)
    return _check_path(line, folder / local)


def _check_path(source: str, path: Path) -> Entry:
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError) as error:
        return Entry(source, path, f"cannot be found: {_why(error)}")
    if kind == stat.S_IFREG:
        return Entry(source, path, None)
    if kind == stat.S_IFDIR:
        return Entry(source, path, _FOLDER)
    return Entry(source, path, _NOT_REGULAR.format(kind=_KINDS.get(kind, "special")))


def _why(error: Exception) -> str:
    """Tell an error without the path in it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
