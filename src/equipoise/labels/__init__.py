"""Truth about copies: nearest training image; duplicates in a training set."""

from equipoise.labels.duplicates import KINDS, Duplicates, Kind, find_duplicates
from equipoise.labels.nearest import (
    COPY_BELOW,
    NEIGHBOURS,
    NOVEL_ABOVE,
    Label,
    NearestLabels,
    NearestSearch,
    label_by_nearest,
)

__all__ = [
    "COPY_BELOW",
    "KINDS",
    "NEIGHBOURS",
    "NOVEL_ABOVE",
    "Duplicates",
    "Kind",
    "Label",
    "NearestLabels",
    "NearestSearch",
    "find_duplicates",
    "label_by_nearest",
]
