"""Samplers and noise streams, as generators."""

from equipoise.sampling.heun import build_sigmas, sample_heun
from equipoise.sampling.items import sample_items, sample_states
from equipoise.sampling.multistep import sample_multistep
from equipoise.sampling.noise import draw_choices, draw_noise, draw_noise_batch
from equipoise.sampling.spec import SamplerSpec
from equipoise.sampling.state import SamplerState, Solver

__all__ = [
    "SamplerSpec",
    "SamplerState",
    "Solver",
    "build_sigmas",
    "draw_choices",
    "draw_noise",
    "draw_noise_batch",
    "sample_heun",
    "sample_items",
    "sample_multistep",
    "sample_states",
]
