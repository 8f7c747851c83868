"""How many noisy pictures a forward takes: by their size, and half as many when memory runs out.

The number changes no result, see `detection/draws`.
"""

from collections.abc import Callable
from typing import TypeVar

import torch

from equipoise.detection import DEFAULT_BATCH
from equipoise.errors import BadInputError

PIXELS = 2**20
"""Pixels of a forward: four pictures of 512 px, sixteen of 256 px."""
_WORDS = ("out of memory", "can't allocate memory", "not enough memory")
_Result = TypeVar("_Result")


class Batch:
    """The number of pictures, which only ever falls."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        _, height, width = image_shape
        self.size = max(1, min(DEFAULT_BATCH, PIXELS // (height * width)))

    def run(self, work: Callable[[int], _Result]) -> _Result:
        """Do `work(size)`; again with half the size when the memory does not suffice.

        Raises:
            BadInputError: when it does not suffice for one picture.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise BadInputError(
                        "Scoring a single picture needs more memory than there is "
                        f"({str(error).splitlines()[0]}). Free some, or use another device."
                    ) from error
            self.size //= 2
            torch.cuda.empty_cache()  # does nothing where no CUDA was used


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(word in str(error) for word in _WORDS)
