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
    """Pictures with their captions, see `captions`.

    A picture without one is an item with that reason: told something else than it was asked for,
    or nothing at all, a model says nothing of it.
    """

    def __init__(self, images: str | Path, denoiser: Denoiser, *, otherwise: str | None) -> None:
        super().__init__(images, denoiser.image_shape)
        self.denoiser = denoiser
        self.captions = Captions(read_captions(images, self.store.list_files()), otherwise or "")
        _check_words(denoiser)
        if otherwise is not None and not otherwise.strip():
            raise BadInputError("--caption is empty. Say what the pictures were asked for.")
        if otherwise is None and not self.captions.by_source:
            raise BadInputError(
                "The detector is told what each picture was asked for, and no picture of "
                f'"{show_path(images)}" has a caption. Put NAME.txt beside each, or a '
                "metadata.jsonl into the folder (of tables, tars and URLs no captions are read); "
                "`equipoise audit` takes --caption TEXT for those that have none."
            )

    def describe(self) -> dict[str, Any]:
        """Name the pile and hash what it lists and its captions."""
        return super().describe() | {"captions": self.captions.describe()}

    def read(self, parts: Sequence[int]) -> Iterator[tuple[int, list[Loaded]]]:
        """Read, and say of each picture what it was asked for."""
        for part, loaded in super().read(parts):
            yield part, self._tell(loaded)

    def _tell(self, loaded: list[Loaded]) -> list[Loaded]:
        captions = [self.captions.find(one.source).strip() for one in loaded]
        told = [caption for caption in captions if caption]
        conditions = iter(encode_prompts(self.denoiser, told)) if told else iter(())
        return [
            replace(one, condition=next(conditions))
            if caption
            else replace(one, pixels=None, error=one.error or NO_CAPTION)
            for one, caption in zip(loaded, captions, strict=True)
        ]


def _check_words(denoiser: Denoiser) -> None:
    """Tell before hours of work that a model reads no words."""
    try:
        encode_prompts(denoiser, [""])
    except BadInputError as error:
        raise BadInputError(
            "The detector is told what each picture was asked for, and this model reads no words. "
            "It can judge fresh outputs (--generate N); for pictures give a calibration made "
            "without --told."
        ) from error


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
