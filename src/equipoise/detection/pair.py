"""Compare what one item gives with different noise, pair by pair."""

from collections.abc import Callable
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

Compare = Callable[[Tensor, Tensor], Float[Tensor, " case"]]


def compare_all_pairs(
    draws: Float[Tensor, "case draw ..."], compare: Compare
) -> Float[Tensor, "case pair"]:
    """Compare every two draws of each item.

    Args:
        draws: What each draw of the noise led to; at least two.
        compare: Compares two batches, one number an item.
    """
    pairs = combinations(range(draws.shape[1]), 2)
    return torch.stack([compare(draws[:, i], draws[:, j]) for i, j in pairs], dim=1)
