"""Put a zoo model together with what it ships, and calibrate models anew."""

from dataclasses import replace
from pathlib import Path

import torch

from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import load_rivals
from equipoise.denoisers import Denoiser, check_device
from equipoise.detection import (
    Calibration,
    Null,
    Spikiness,
    build_default,
    calibrate_scores,
    load_calibration,
)
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids, quantize, read_folder
from equipoise.sampling import build_sigmas, sample_items
from equipoise.zoo.package import CLEAN_SUFFIX, MODELS, ZooModel, load_zoo


def load_parts(name: str, *, device: str = "cpu", folder: Path = MODELS) -> DemoParts:
    """Load a zoo model, its clean twin, its calibration and its rivals."""
    model = load_zoo(name, folder)
    twin = load_zoo(model.recipe.name + CLEAN_SUFFIX, folder)
    shipped = folder / model.recipe.name
    return DemoParts(
        _move(model, device),
        _move(twin, device),
        load_calibration(shipped / "calibration.json"),
        load_rivals(shipped / "rivals.json"),
    )


def calibrate_model(
    name: str,
    *,
    generate: int | None,
    reference: Path | None,
    fpr: float,
    seed: int,
    device: str = "cpu",
) -> Calibration:
    """Calibrate a zoo model on its own fresh outputs, or on a folder of pictures.

    Raises:
        BadInputError: unless exactly one source of pictures is given.
        CalibrationError: when the rate is finer than the number of pictures can promise.
    """
    if (generate is None) == (reference is None):
        raise BadInputError(
            "Give either --generate N, fresh outputs of the model, or --reference FOLDER, "
            "pictures it has not memorized."
        )
    model = _move(load_zoo(name), device)
    null: Null = "own outputs" if reference is None else "held-out real"
    if reference is not None:
        pictures = read_folder(reference, model.denoiser.sample_shape)
    else:
        pictures = _generate(model, generate or 0, seed)
    detector = _choose_detector(model.denoiser, MODELS / model.recipe.name / "calibration.json")
    scores = detector.score(model.denoiser, as_unit(pictures), content_ids(pictures))
    return calibrate_scores(detector, model.denoiser, scores.values, pictures, fpr=fpr, null=null)


def _generate(model: ZooModel, count: int, seed: int) -> torch.Tensor:
    sampler = model.recipe.sampler
    sigmas = build_sigmas(
        sampler.steps, sigma_min=sampler.sigma_min, sigma_max=sampler.sigma_max, rho=sampler.rho
    )
    ids = [f"calibrate/{seed}/{index:06d}" for index in range(count)]
    batches = sample_items(model.denoiser, ids, sigmas, seed=seed, batch=sampler.batch)
    return torch.cat([quantize(model.denoiser.decode(x0)) for x0 in batches])


def _choose_detector(denoiser: Denoiser, shipped: Path) -> Spikiness:
    return load_calibration(shipped).detector if shipped.exists() else build_default(denoiser)


def _move(model: ZooModel, device: str) -> ZooModel:
    check_device(device)
    return replace(model, denoiser=model.denoiser.to(device, torch.float32))
