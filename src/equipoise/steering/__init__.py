"""Steering: concept vectors, and adding them while a model generates."""

from equipoise.steering.extraction import build_vector, find_kind, find_sites
from equipoise.steering.vector import ConceptVector, Kind, VectorRecord, build_random, load_vector

__all__ = [
    "ConceptVector",
    "Kind",
    "VectorRecord",
    "build_random",
    "build_vector",
    "find_kind",
    "find_sites",
    "load_vector",
]
