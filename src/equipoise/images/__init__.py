"""Pictures: listing, reading, identity, simple features, domain."""

from equipoise.images.domain import (
    find_outside,
    jpeg_size,
    measure_domain,
    pixel_mean,
    pixel_variance,
    total_variation,
)
from equipoise.images.identity import as_unit, content_id, content_ids, quantize
from equipoise.images.listing import SUFFIXES, Entry, Listing, list_pictures, show_path
from equipoise.images.reading import FORMATS, RULE, Picture, read_picture
from equipoise.images.remote import is_url
from equipoise.images.store import Store, open_store

__all__ = [
    "FORMATS",
    "RULE",
    "SUFFIXES",
    "Entry",
    "Listing",
    "Picture",
    "Store",
    "as_unit",
    "content_id",
    "content_ids",
    "find_outside",
    "is_url",
    "jpeg_size",
    "list_pictures",
    "measure_domain",
    "open_store",
    "pixel_mean",
    "pixel_variance",
    "quantize",
    "read_picture",
    "show_path",
    "total_variation",
]
