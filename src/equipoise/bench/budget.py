"""How many items a detector sees: what a fixed amount of work allows, the same on any machine.

Work is counted in floating-point operations of matrix products and convolutions, as one forward of
the network does them, times the passes on the detector's card.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from equipoise.denoisers import Denoiser, device_of
from equipoise.detection import Card

WORK = 2.5e11
"""Floating-point operations of one detector on the copies, or on the others, of one part."""
LEAST = 100
"""Items of a kind that every detector sees, whatever they cost."""


def count_affordable(card: Card, denoiser: Denoiser) -> int:
    """Count the items of each kind that a detector may see of one part."""
    return max(LEAST, int(WORK / (max(card.evaluations, 1) * count_operations(denoiser))))


def is_costly(card: Card, denoiser: Denoiser) -> bool:
    """Say whether the least number of items is more than ten times the work of others."""
    return LEAST * max(card.evaluations, 1) * count_operations(denoiser) > 10 * WORK


def count_operations(denoiser: Denoiser) -> int:
    """Count the floating-point operations of one forward on one sample; at least 1."""
    x = torch.zeros(1, *denoiser.sample_shape, device=device_of(denoiser))
    sigma = x.new_full((1,), denoiser.snap(denoiser.data_std))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser.denoise(x, sigma, denoiser.null_condition(1))
    return max(1, int(counter.get_total_flops()))
