"""How far steering moves pictures, and how different they stay.

Both are root mean square distances over pixels, in units of the mean distance between two
unsteered outputs.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Drawn = UInt8[Tensor, "strength case channel height width"]


def measure_drift(drawn: Drawn) -> Float[np.ndarray, " strength"]:
    """Return how far outputs went from themselves at the first strength, 0, on average."""
    flat = drawn.flatten(2).double()
    away = (flat - flat[0]).square().mean(dim=2).sqrt().mean(dim=1)
    return (away / measure_spread(drawn[0])).numpy()


def measure_diversity(drawn: Drawn) -> Float[np.ndarray, " strength"]:
    """Return how far outputs of one strength are from each other, 1 at strength 0."""
    return np.array([measure_spread(part) / measure_spread(drawn[0]) for part in drawn])


def measure_spread(pictures: UInt8[Tensor, "case channel height width"]) -> float:
    """Return the mean distance of two pictures, root mean square over pixels."""
    flat = pictures.flatten(1).double()
    return float(torch.pdist(flat).mean() / flat.shape[1] ** 0.5)
