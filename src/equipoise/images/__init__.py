"""Pictures: reading, identity, simple features, domain."""

from equipoise.images.domain import (
    DOMAIN_FEATURES,
    FEATURES,
    find_outside,
    jpeg_size,
    measure_domain,
    pixel_mean,
    pixel_variance,
    total_variation,
)
from equipoise.images.identity import as_unit, content_id, content_ids, quantize
from equipoise.images.reading import read_folder, read_picture

__all__ = [
    "DOMAIN_FEATURES",
    "FEATURES",
    "as_unit",
    "content_id",
    "content_ids",
    "find_outside",
    "jpeg_size",
    "measure_domain",
    "pixel_mean",
    "pixel_variance",
    "quantize",
    "read_folder",
    "read_picture",
    "total_variation",
]
