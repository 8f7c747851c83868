"""Truth about copies: nearest training image."""

from equipoise.labels.nearest import (
    COPY_BELOW,
    NEIGHBOURS,
    NOVEL_ABOVE,
    Label,
    NearestLabels,
    label_by_nearest,
)

__all__ = [
    "COPY_BELOW",
    "NEIGHBOURS",
    "NOVEL_ABOVE",
    "Label",
    "NearestLabels",
    "label_by_nearest",
]
