"""Samplers and noise streams, as generators."""

from equipoise.sampling.heun import SamplerState, build_sigmas, sample_heun, sample_items
from equipoise.sampling.noise import draw_choices, draw_noise, draw_noise_batch

__all__ = [
    "SamplerState",
    "build_sigmas",
    "draw_choices",
    "draw_noise",
    "draw_noise_batch",
    "sample_heun",
    "sample_items",
]
