"""Piles of pictures: those that are read, or fresh outputs of a model; both part by part.

A part is what an audit scores, writes and can lose at once. Reading runs ahead by one part, in
threads, while the model scores; so two parts are in memory whatever the size of the pile.
"""

import hashlib
import io
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor

from equipoise.auditing.subject import Subject, follow_prompts
from equipoise.errors import BadInputError, UnreadablePictureError
from equipoise.images import (
    RULE,
    Entry,
    content_id,
    open_store,
    quantize,
    read_picture,
    show_path,
)

PART = 256
THREADS = 2
HELD = 2**26  # encoded bytes that wait to be decoded
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
    condition: Shaped[Tensor, "..."] | None = None
    """What the model was asked for; None where it was asked nothing, or nobody says."""

    @property
    def id(self) -> str:
        """Hash of the pixels, which keys the noise; of the source where there are none."""
        if self.pixels is not None:
            return content_id(self.pixels)
        return hashlib.blake2b(self.source.encode(), digest_size=16).hexdigest()


@runtime_checkable
class Pile(Protocol):
    """Many pictures, in the order of the parts."""

    def __len__(self) -> int: ...

    def describe(self) -> dict[str, Any]:
        """Say for the record what the pile is, so that another one is told apart."""
        ...

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Yield the wanted parts with their number."""
        ...


class PicturePile:
    """The pictures of a folder, a list, a file, tables, tars or a URL."""

    def __init__(self, images: str | Path, shape: tuple[int, ...]) -> None:
        self.images = images
        self.shape = shape
        self.store = open_store(images)

    def __len__(self) -> int:
        return len(self.store)

    def describe(self) -> dict[str, Any]:
        """Name the pile, hash what it lists, and state the rule of reading."""
        return {
            "images": show_path(self.images),
            "listing": self.store.hash(),
            "items": len(self),
            "picture_rule": dict(RULE),
        }

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Decode in threads, about one part ahead."""
        rows = [(part * PART, min((part + 1) * PART, len(self))) for part in parts]
        entries = chain.from_iterable(self.store.read(*span) for span in _join(rows))
        with closing(self._load_ahead(entries)) as loaded:
            for part, (start, stop) in zip(parts, rows, strict=True):
                yield part, list(islice(loaded, stop - start))

    def load(self, rows: Iterable[int]) -> dict[int, Loaded]:
        """Read single items, each once."""
        spans = _join([(row, row + 1) for row in sorted(set(rows))])
        found: dict[int, Loaded] = {}
        for start, stop in spans:
            for row, entry in enumerate(self.store.read(start, stop), start):
                found[row] = load_entry(entry, self.shape)
        return found

    def _load_ahead(self, entries: Iterable[Entry]) -> Generator[Loaded]:
        """Decode in threads while somebody else computes; of encoded bytes few are held."""
        waiting: deque[tuple[Future[Loaded], int]] = deque()
        held = 0
        with _open_pool() as pool:
            for entry in entries:
                size = len(entry.content) if isinstance(entry.content, bytes) else 0
                waiting.append((pool.submit(load_entry, entry, self.shape), size))
                held += size
                while len(waiting) > PART or held > HELD:
                    future, size = waiting.popleft()
                    held -= size
                    yield future.result()
            for future, _ in waiting:
                yield future.result()


class GeneratedPile:
    """Fresh outputs of a model, each from its own noise stream.

    With prompts, output k is asked for prompt k, from the first again after the last; its source
    ends with the prompt. `told` hands on what each was asked for.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        count: int,
        seed: int,
        stream: str,
        prompts: Sequence[str] = (),
        told: bool = False,
    ) -> None:
        self.told = told
        self.subject = subject if not prompts else follow_prompts(subject)
        self.seed = seed
        self.sources = [f"{stream}/{seed}/{index:06d}" for index in range(count)]
        self.prompts = [prompts[index % len(prompts)] for index in range(count) if prompts]
        if prompts:
            pairs = zip(self.sources, self.prompts, strict=True)
            self.sources = [f"{source} {prompt}" for source, prompt in pairs]

    def __len__(self) -> int:
        return len(self.sources)

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
            asked = self.subject.find_conditions(sources, seed=self.seed, prompts=prompts)
            pictures = [
                picture
                for x0 in self.subject.sample(sources, seed=self.seed, conditions=asked)
                for picture in quantize(self.subject.denoiser.decode(x0))
            ]
            told = asked if self.told and asked is not None else [None] * len(sources)
            yield (
                part,
                [
                    Loaded(source, picture, None, encode_thumbnail(picture), condition=condition)
                    for source, picture, condition in zip(sources, pictures, told, strict=True)
                ],
            )


def check_asked(pile: GeneratedPile) -> None:
    """Refuse outputs that are asked for nothing, where the detector is told what it was.

    Raises:
        BadInputError: naming what to give.
    """
    asked = pile.prompts or pile.subject.draw_conditions(pile.sources[:1], pile.seed) is not None
    if pile.told and not asked:
        raise BadInputError(
            "The detector is told what each output was asked for, and these are asked for "
            "nothing. Give --prompts FILE, or leave --told out."
        )


def count_parts(pile: Pile) -> int:
    """Count the parts of a pile; the last one may be smaller."""
    return -(-len(pile) // PART)


def list_sizes(pile: Pile) -> list[int]:
    """List how many items each part of a pile has."""
    return [min(PART, len(pile) - start) for start in range(0, len(pile), PART)]


def load_entry(entry: Entry, shape: tuple[int, ...]) -> Loaded:
    """Read one listed picture; what cannot be read becomes a reason."""
    if entry.error is not None:
        return Loaded(entry.source, None, entry.error, None)
    try:
        picture = read_picture(entry.content, shape)
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


def hash_lines(lines: Sequence[str]) -> str:
    """Hash lines of text: other prompts are another pile."""
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _join(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put spans that follow each other together: a table is then read in one go."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


@contextmanager
def _open_pool() -> Iterator[ThreadPoolExecutor]:
    """Open threads that do not keep a stopped audit waiting for pictures nobody wants."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
