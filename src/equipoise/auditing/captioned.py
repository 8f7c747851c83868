"""A pile of pictures with what each was asked for, for a detector that is told it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equipoise.auditing.captions import Captions, read_captions
from equipoise.auditing.pile import Loaded, PicturePile
from equipoise.denoisers import Denoiser, encode_prompts
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError
from equipoise.images import show_path

NO_CAPTION = "has no caption, and the detector is told what each picture was asked for"


class CaptionedPile(PicturePile):
    """Pictures of a folder with their captions, see `captions`.

    A picture without one is an item with that reason: told something else than it was asked for,
    a model says nothing of it.
    """

    def __init__(self, images: str | Path, denoiser: Denoiser, *, otherwise: str | None) -> None:
        super().__init__(images, denoiser.image_shape)
        self.denoiser = denoiser
        self.captions = Captions(read_captions(images, self.list_sources()), otherwise or "")
        self.otherwise = otherwise
        encode_prompts(denoiser, [""])  # told before hours of work that it reads no words
        if otherwise is None and not self.captions.by_source:
            raise BadInputError(
                "The detector is told what each picture was asked for, and no picture of "
                f'"{show_path(images)}" has a caption. Put NAME.txt beside each or a '
                "metadata.jsonl into the folder, or give --caption TEXT for all."
            )

    def describe(self) -> dict[str, Any]:
        """Name the pile and hash what it lists and its captions."""
        return super().describe() | {"captions": self.captions.describe()}

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Read, and say of each picture what it was asked for."""
        for part, loaded in super().read(parts):
            yield part, self._tell(loaded)

    def _tell(self, loaded: list[Loaded]) -> list[Loaded]:
        known = [
            self.otherwise is not None or one.source in self.captions.by_source for one in loaded
        ]
        told = [
            self.captions.find(one.source) for one, has in zip(loaded, known, strict=True) if has
        ]
        conditions = iter(encode_prompts(self.denoiser, told)) if told else iter(())
        return [
            replace(one, condition=next(conditions))
            if has
            else replace(one, pixels=None, error=one.error or NO_CAPTION)
            for one, has in zip(loaded, known, strict=True)
        ]


def open_pile(
    images: str | Path, denoiser: Denoiser, detector: Spikiness, *, caption: str | None = None
) -> PicturePile:
    """Open the pictures that a detector is to score, with their captions where it is told them.

    Args:
        images: See `open_store`.
        denoiser: The model.
        detector: What scores them.
        caption: What pictures without a caption were asked for.

    Raises:
        BadInputError: when the detector is told captions and no picture has one, or the model
            reads no words; for a caption that nothing reads.
    """
    if detector.condition == "own":
        return CaptionedPile(images, denoiser, otherwise=caption)
    if caption is not None:
        raise BadInputError(
            "--caption says what pictures were asked for, and this detector is told nothing. "
            "Leave it out, or give a calibration that was made with --told."
        )
    return PicturePile(images, denoiser.image_shape)
