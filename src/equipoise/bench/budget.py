"""How many items a detector sees: what a fixed amount of work allows, the same on any machine.

Work is counted in floating-point operations of matrix products and convolutions, as one forward of
the network does them, times the passes on the detector's card.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from equipoise.denoisers import Denoiser, device_of
from equipoise.detection import Card
from equipoise.sampling import SamplerSpec

WORK = 1e11
"""Floating-point operations of one detector on the copies, or on the others, of one part."""
LEAST = 100
"""Items of a kind that every detector sees, whatever they cost."""
COSTLY, OUT_OF_REACH = 4, 20
"""Times that work for the least number of items: no twin and no real images; left out."""
OUTPUT_WORK = 6e12
"""Operations of one stream of outputs."""
LEAST_OUTPUTS, MOST_OUTPUTS = 600, 1000


def count_affordable(card: Card, denoiser: Denoiser) -> int:
    """Count the items of each kind that a detector may see of one part."""
    return max(LEAST, int(WORK / (max(card.evaluations, 1) * count_operations(denoiser))))


def is_costly(card: Card, denoiser: Denoiser) -> bool:
    """Say whether the least number of items is much more than the work of others."""
    return _count_least(card, denoiser) > COSTLY * WORK


def find_excess(card: Card, denoiser: Denoiser) -> str | None:
    """Say why a detector that generates anew costs too much to take part unasked; or None."""
    if "generations" not in card.needs or _count_least(card, denoiser) <= OUT_OF_REACH * WORK:
        return None
    return (
        f"takes {card.evaluations} passes an item through a network of "
        f"{count_operations(denoiser) / 1e6:.0f} MFLOP; name it with --detectors to measure it"
    )


def count_outputs(sampler: SamplerSpec, denoiser: Denoiser) -> int:
    """Count the outputs of a stream of which nothing else was said."""
    affordable = int(OUTPUT_WORK / (sampler.evaluations * count_operations(denoiser)))
    return min(max(affordable, LEAST_OUTPUTS), MOST_OUTPUTS)


def _count_least(card: Card, denoiser: Denoiser) -> int:
    return LEAST * max(card.evaluations, 1) * count_operations(denoiser)


def count_operations(denoiser: Denoiser) -> int:
    """Count the floating-point operations of one forward on one sample; at least 1."""
    x = torch.zeros(1, *denoiser.sample_shape, device=device_of(denoiser))
    sigma = x.new_full((1,), denoiser.snap(denoiser.data_std))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser.denoise(x, sigma, denoiser.null_condition(1))
    return max(1, int(counter.get_total_flops()))
