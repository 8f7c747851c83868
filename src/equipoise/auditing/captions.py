"""What training pictures were called, as people keep it beside the pictures of a folder.

    NAME.txt beside NAME.png          one caption a picture (kohya's trainers)
    metadata.jsonl or metadata.csv    file_name and text (image folders of Hugging Face), in any
                                      folder; names are relative to it

Where a picture has both, the text beside it counts. These tables are read of a folder; of pictures
inside Parquet files and tars, and behind URLs, nothing is known.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from equipoise.auditing.prompts import COLUMNS
from equipoise.errors import BadInputError
from equipoise.images import show_path

FILE_NAME = "file_name"
TABLES = ("metadata.jsonl", "metadata.csv")


@dataclass(frozen=True)
class Captions:
    """Captions of the pictures of a folder.

    Args:
        by_source: One a picture that has one, by its path below the folder.
        otherwise: What the others are called; a trainer takes nothing.
    """

    by_source: Mapping[str, str]
    otherwise: str = ""

    def find(self, source: str) -> str:
        """Return the caption of a picture."""
        return self.by_source.get(source, self.otherwise)

    def describe(self) -> dict[str, Any]:
        """Say for the record what they are, without their words."""
        lines = [f"{source}\0{text}" for source, text in sorted(self.by_source.items())]
        digest = hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
        return {"count": len(self.by_source), "otherwise": self.otherwise, "hash": digest}


def read_captions(images: str | Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Read the captions of pictures; empty where there are none.

    Args:
        images: What the pictures were listed from; tables are looked for where it is a folder.
        files: Where each picture lies, by its source.

    Raises:
        BadInputError: when a table of captions or a caption cannot be read.
    """
    root = Path(str(images).removeprefix("file://"))
    tables = sorted(path for name in TABLES for path in root.rglob(name)) if root.is_dir() else []
    listed = {source: text for path in tables for source, text in _read_table(path, root)}
    beside = {source: path.with_suffix(".txt") for source, path in files.items()}
    found = {source: _read_text(path).strip() for source, path in beside.items() if _exists(path)}
    return {source: text for source, text in listed.items() if source in files} | found


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is as long as names may be leaves no room for the suffix
        return False


def _read_table(path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the pictures of a table, by their paths below the root, with their captions."""
    read = _read_json_lines if path.suffix == ".jsonl" else _read_csv
    for number, row in read(path):
        named = {str(name).strip().lower(): value for name, value in row.items()}
        caption = next((named[name] for name in COLUMNS if named.get(name) is not None), None)
        picture = named.get(FILE_NAME)
        if not _is_text(picture) or not _is_text(caption):
            raise BadInputError(
                f'Cannot read line {number} of "{show_path(path)}": it has not both {FILE_NAME} '
                f"and one of {', '.join(COLUMNS)}. Give every picture of the table both, as text."
            )
        yield (path.parent.relative_to(root) / picture).as_posix(), caption.strip()


def _is_text(value: object) -> TypeGuard[str]:
    """Say whether a value is text that can be written; JSON may hold halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines: a text may hold other ends of lines than the file's.
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else {}


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    try:
        for row in reader:
            yield reader.line_num, {name: value for name, value in row.items() if name is not None}
    except csv.Error:
        yield reader.reader.line_num, {}  # where it broke; the other is where the last row ended


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f'Cannot read captions from "{show_path(path)}": it cannot be opened, or is not '
            "UTF-8. Write it again in UTF-8, or take it away."
        ) from error
