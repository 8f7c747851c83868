"""The ReLU denoising autoencoder: its losses, its minimizers in closed form, and their claims."""

from equipoise.theory.closed_forms import (
    MIN_ACTIVE_SHARE,
    ClosedFormWeights,
    generalizing_weights,
    hybrid_weights,
    memorizing_weights,
)
from equipoise.theory.generalization import (
    LossParts,
    expected_loss,
    limit_shrinkage,
    loss_bound,
)
from equipoise.theory.jacobian import JacobianSpectrum, measure_jacobian
from equipoise.theory.mixture import GaussianMixture, empirical_denoiser
from equipoise.theory.objective import empirical_loss, relu_loss, sampled_loss
from equipoise.theory.relu_dae import ReluDae, ReluDaeDenoiser, build_relu_dae
from equipoise.theory.separability import Separability, separability
from equipoise.theory.stack import (
    DaeStack,
    Nearest,
    measure_nearest,
    sample_ddim,
    space_sigmas,
)
from equipoise.theory.training import (
    OBJECTIVES,
    OPTIMIZERS,
    TrainingState,
    build_random_dae,
    fit_relu_dae,
    train_relu_dae,
)

__all__ = [
    "MIN_ACTIVE_SHARE",
    "OBJECTIVES",
    "OPTIMIZERS",
    "ClosedFormWeights",
    "DaeStack",
    "GaussianMixture",
    "JacobianSpectrum",
    "LossParts",
    "Nearest",
    "ReluDae",
    "ReluDaeDenoiser",
    "Separability",
    "TrainingState",
    "build_random_dae",
    "build_relu_dae",
    "empirical_denoiser",
    "empirical_loss",
    "expected_loss",
    "fit_relu_dae",
    "generalizing_weights",
    "hybrid_weights",
    "limit_shrinkage",
    "loss_bound",
    "measure_jacobian",
    "measure_nearest",
    "memorizing_weights",
    "relu_loss",
    "sample_ddim",
    "sampled_loss",
    "separability",
    "space_sigmas",
    "train_relu_dae",
]
