"""Sites, capture, pooling and spikiness statistics."""

from equipoise.representation.pooling import (
    POOLINGS,
    STATISTICS,
    Pooling,
    Statistic,
    measure,
    pool,
)
from equipoise.representation.site import Site, select_sites, sites
from equipoise.representation.tape import Representation, capture, observe

__all__ = [
    "POOLINGS",
    "STATISTICS",
    "Pooling",
    "Representation",
    "Site",
    "Statistic",
    "capture",
    "measure",
    "observe",
    "pool",
    "select_sites",
    "sites",
]
