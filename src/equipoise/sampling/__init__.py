"""Samplers and noise streams, as generators."""

from equipoise.sampling.heun import (
    SamplerState,
    build_sigmas,
    sample_heun,
    sample_items,
    sample_states,
)
from equipoise.sampling.noise import draw_choices, draw_noise, draw_noise_batch
from equipoise.sampling.spec import SamplerSpec

__all__ = [
    "SamplerSpec",
    "SamplerState",
    "build_sigmas",
    "draw_choices",
    "draw_noise",
    "draw_noise_batch",
    "sample_heun",
    "sample_items",
    "sample_states",
]
