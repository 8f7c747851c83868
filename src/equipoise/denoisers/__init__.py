"""One protocol for everything we look into; adapters per family; noise levels."""

from equipoise.denoisers.analytic import GaussianDenoiser, IdealDenoiser
from equipoise.denoisers.dit import build_dit
from equipoise.denoisers.edm import EdmDenoiser
from equipoise.denoisers.family import Family, build_from_pipeline, find_family, register_family
from equipoise.denoisers.guidance import guide
from equipoise.denoisers.latent import Size, fit_shapes
from equipoise.denoisers.pipeline import load_pipeline
from equipoise.denoisers.protocol import (
    Denoiser,
    check_device,
    check_finite_weights,
    device_of,
    fingerprint,
)
from equipoise.denoisers.stable_diffusion import build_stable_diffusion
from equipoise.denoisers.text_to_image import TextFamily, build_of_family, build_text_to_image
from equipoise.denoisers.timed import TimedDenoiser, encode_prompts
from equipoise.denoisers.unet import UNet
from equipoise.denoisers.wrapped import WrappedDenoiser, wrap

__all__ = [
    "Denoiser",
    "EdmDenoiser",
    "Family",
    "GaussianDenoiser",
    "IdealDenoiser",
    "Size",
    "TextFamily",
    "TimedDenoiser",
    "UNet",
    "WrappedDenoiser",
    "build_dit",
    "build_from_pipeline",
    "build_of_family",
    "build_stable_diffusion",
    "build_text_to_image",
    "check_device",
    "check_finite_weights",
    "device_of",
    "encode_prompts",
    "find_family",
    "fingerprint",
    "fit_shapes",
    "guide",
    "load_pipeline",
    "register_family",
    "wrap",
]
