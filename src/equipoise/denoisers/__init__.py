"""One protocol for everything we look into; adapters per family; noise levels."""

from equipoise.denoisers.analytic import GaussianDenoiser, IdealDenoiser
from equipoise.denoisers.edm import EdmDenoiser
from equipoise.denoisers.protocol import (
    Denoiser,
    check_device,
    check_finite_weights,
    device_of,
    fingerprint,
)
from equipoise.denoisers.unet import UNet
from equipoise.denoisers.wrapped import WrappedDenoiser, wrap

__all__ = [
    "Denoiser",
    "EdmDenoiser",
    "GaussianDenoiser",
    "IdealDenoiser",
    "UNet",
    "WrappedDenoiser",
    "check_device",
    "check_finite_weights",
    "device_of",
    "fingerprint",
    "wrap",
]
