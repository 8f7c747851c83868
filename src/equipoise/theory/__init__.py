"""The ReLU denoising autoencoder and its memorizing and generalizing minimizers."""

from equipoise.theory.closed_forms import (
    MIN_ACTIVE_SHARE,
    ClosedFormWeights,
    empirical_loss,
    generalizing_weights,
    memorizing_weights,
)
from equipoise.theory.relu_dae import ReluDae, ReluDaeDenoiser, build_relu_dae

__all__ = [
    "MIN_ACTIVE_SHARE",
    "ClosedFormWeights",
    "ReluDae",
    "ReluDaeDenoiser",
    "build_relu_dae",
    "empirical_loss",
    "generalizing_weights",
    "memorizing_weights",
]
