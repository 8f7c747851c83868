"""Pictures: identity, simple features, domain."""

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
from equipoise.images.identity import content_id, content_ids

__all__ = [
    "DOMAIN_FEATURES",
    "FEATURES",
    "content_id",
    "content_ids",
    "find_outside",
    "jpeg_size",
    "measure_domain",
    "pixel_mean",
    "pixel_variance",
    "total_variation",
]
