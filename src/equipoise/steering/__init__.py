"""Steering: concept vectors, and adding them while a model generates."""

from equipoise.steering.application import steer
from equipoise.steering.arithmetic import MODES, Mode
from equipoise.steering.extraction import build_vector, find_sites
from equipoise.steering.guidance import GUIDANCE, Guidance
from equipoise.steering.session import Steered, Window
from equipoise.steering.vector import ConceptVector, Kind, VectorRecord, build_random, load_vector

__all__ = [
    "GUIDANCE",
    "MODES",
    "ConceptVector",
    "Guidance",
    "Kind",
    "Mode",
    "Steered",
    "VectorRecord",
    "Window",
    "build_random",
    "build_vector",
    "find_sites",
    "load_vector",
    "steer",
]
