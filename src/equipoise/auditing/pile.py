"""Piles of pictures: a folder that is read, or fresh outputs of a model; both part by part.

A part is what an audit scores, writes and can lose at once. Reading runs ahead by one part, in
threads, while the model scores; so two parts are in memory whatever the size of the pile.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from equipoise.auditing.subject import Subject, follow_prompts
from equipoise.errors import UnreadablePictureError
from equipoise.images import (
    RULE,
    Entry,
    Listing,
    content_id,
    list_pictures,
    quantize,
    read_picture,
    show_path,
)

PART = 256
THREADS = 2
THUMBNAIL = 64  # px


@dataclass(frozen=True)
class Loaded:
    """An item that was read, or the reason why not."""

    source: str
    pixels: UInt8[Tensor, "channel height width"] | None
    error: str | None
    thumbnail: bytes | None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None

    @property
    def id(self) -> str:
        """Hash of the pixels, which keys the noise; of the source where there are none."""
        if self.pixels is not None:
            return content_id(self.pixels)
        return hashlib.blake2b(self.source.encode(), digest_size=16).hexdigest()


@runtime_checkable
class Pile(Protocol):
    """Many pictures, told by their sources."""

    @property
    def sources(self) -> Sequence[str]:
        """One name an item, in the order of the parts."""
        ...

    def describe(self) -> dict[str, Any]:
        """Say for the record what the pile is, so that another one is told apart."""
        ...

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Yield the wanted parts with their number."""
        ...


class FolderPile:
    """The pictures of a folder, a list or a single file."""

    def __init__(self, images: Path, shape: tuple[int, ...]) -> None:
        self.images = images
        self.shape = shape
        self.listing = list_pictures(images)
        self.sources = [entry.source for entry in self.listing.entries]

    def describe(self) -> dict[str, Any]:
        """Name the folder, hash what it lists, and state the rule of reading."""
        return {
            "images": show_path(self.images),
            "listing": hash_listing(self.listing),
            "items": len(self.sources),
            "picture_rule": dict(RULE),
        }

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Decode in threads, one part ahead."""
        entries = self.listing.entries
        with _open_pool() as pool:
            ahead: list[tuple[int, list[Future[Loaded]]]] = []
            for part in parts:
                chosen = entries[part * PART : (part + 1) * PART]
                ahead.append((part, [pool.submit(load_entry, e, self.shape) for e in chosen]))
                if len(ahead) > 1:
                    yield _collect(*ahead.pop(0))
            for part, futures in ahead:
                yield _collect(part, futures)

    def read_chosen(self, rows: Sequence[int]) -> list[UInt8[Tensor, "channel height width"]]:
        """Read single items; those that cannot be read are left out."""
        entries = self.listing.entries
        loaded = (load_entry(entries[row], self.shape) for row in rows)
        return [item.pixels for item in loaded if item.pixels is not None]


class GeneratedPile:
    """Fresh outputs of a model, each from its own noise stream.

    With prompts, output k is asked for prompt k, from the first again after the last; its source
    ends with the prompt.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        count: int,
        seed: int,
        stream: str,
        prompts: Sequence[str] = (),
    ) -> None:
        self.subject = subject if not prompts else follow_prompts(subject)
        self.seed = seed
        self.sources = [f"{stream}/{seed}/{index:06d}" for index in range(count)]
        self.prompts = [prompts[index % len(prompts)] for index in range(count) if prompts]
        if prompts:
            pairs = zip(self.sources, self.prompts, strict=True)
            self.sources = [f"{source} {prompt}" for source, prompt in pairs]

    def describe(self) -> dict[str, Any]:
        """Say how many were sampled, and how."""
        return {
            "generate": len(self.sources),
            "items": len(self.sources),
            "seed": self.seed,
            "prompts": hash_lines(self.prompts) if self.prompts else None,
            "sampler": self.subject.sampler.model_dump(),
        }

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Sample part by part."""
        for part in parts:
            rows = slice(part * PART, (part + 1) * PART)
            sources, prompts = self.sources[rows], self.prompts[rows] or None
            pictures = [
                picture
                for x0 in self.subject.sample(sources, seed=self.seed, prompts=prompts)
                for picture in quantize(self.subject.denoiser.decode(x0))
            ]
            yield (
                part,
                [
                    Loaded(source, picture, None, encode_thumbnail(picture))
                    for source, picture in zip(sources, pictures, strict=True)
                ],
            )


def count_parts(pile: Pile) -> int:
    """Count the parts of a pile; the last one may be smaller."""
    return -(-len(pile.sources) // PART)


def load_entry(entry: Entry, shape: tuple[int, ...]) -> Loaded:
    """Read one listed picture; what cannot be read becomes a reason."""
    if entry.error is not None:
        return Loaded(entry.source, None, entry.error, None)
    try:
        picture = read_picture(entry.path, shape)
    except UnreadablePictureError as error:
        return Loaded(entry.source, None, error.reason, None)
    return Loaded(
        entry.source, picture.pixels, None, picture.thumbnail,
        picture.width, picture.height, picture.format, picture.mode,
    )  # fmt: skip


def encode_thumbnail(picture: UInt8[Tensor, "channel height width"]) -> bytes:
    """Encode a generated picture as a PNG of at most 64 px a side."""
    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def hash_listing(listing: Listing) -> str:
    """Hash sources, sizes and known errors: a folder that changed is another pile."""
    digest = hashlib.blake2b(digest_size=16)
    for entry in listing.entries:
        known = entry.error if entry.error is not None else _measure_size(entry.path)
        digest.update(f"{len(entry.source)}|{entry.source}|{known}\n".encode())
    return digest.hexdigest()


def hash_lines(lines: Sequence[str]) -> str:
    """Hash lines of text: other prompts are another pile."""
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _measure_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1  # gone meanwhile: reading it will say so


def _collect(part: int, futures: list[Future[Loaded]]) -> tuple[int, list[Loaded]]:
    return part, [future.result() for future in futures]


@contextmanager
def _open_pool() -> Iterator[ThreadPoolExecutor]:
    """Open threads that do not keep a stopped audit waiting for pictures nobody wants."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
