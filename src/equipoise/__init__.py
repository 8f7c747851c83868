"""equipoise: tell memorized outputs of a diffusion model from new ones, by looking inside it.

    import equipoise as eq

    model = eq.load("zoo:edm-fashion")
    scores = eq.spikiness(model, images)
    with eq.capture(model, "up_blocks.*.resnets.*.conv2:in") as tape:
        model.denoise(x, sigma)
    detector = eq.calibrate(model, reference_images, fpr=0.01)
    judgement = detector(images)
    run = eq.audit(model, "generated/", detector, out="runs/today")

Names are loaded when they are first used: importing the package imports no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equipoise.denoisers import Denoiser as Denoiser
    from equipoise.denoisers import wrap as wrap
    from equipoise.detection import Calibration as Calibration
    from equipoise.detection import Spikiness as Spikiness
    from equipoise.detection import build_preset as build_preset
    from equipoise.detection import load_calibration as load_calibration
    from equipoise.detection.transformer import SpikinessTransformer as SpikinessTransformer
    from equipoise.doors import CalibratedDetector as CalibratedDetector
    from equipoise.doors import audit as audit
    from equipoise.doors import calibrate as calibrate
    from equipoise.doors import calibrate_guard as calibrate_guard
    from equipoise.doors import concept as concept
    from equipoise.doors import edit as edit
    from equipoise.doors import guard as guard
    from equipoise.doors import heatmap as heatmap
    from equipoise.doors import monitor as monitor
    from equipoise.doors import spikiness as spikiness
    from equipoise.errors import EquipoiseError as EquipoiseError
    from equipoise.loading import load as load
    from equipoise.representation import capture as capture
    from equipoise.representation import sites as sites
    from equipoise.steering import ConceptVector as ConceptVector
    from equipoise.steering import load_vector as load_vector
    from equipoise.steering import steer as steer

_HOMES = {
    "CalibratedDetector": "equipoise.doors",
    "Calibration": "equipoise.detection",
    "ConceptVector": "equipoise.steering",
    "Denoiser": "equipoise.denoisers",
    "EquipoiseError": "equipoise.errors",
    "Spikiness": "equipoise.detection",
    "SpikinessTransformer": "equipoise.detection.transformer",
    "audit": "equipoise.doors",
    "build_preset": "equipoise.detection",
    "calibrate": "equipoise.doors",
    "calibrate_guard": "equipoise.doors",
    "capture": "equipoise.representation",
    "concept": "equipoise.doors",
    "edit": "equipoise.doors",
    "guard": "equipoise.doors",
    "heatmap": "equipoise.doors",
    "load": "equipoise.loading",
    "load_calibration": "equipoise.detection",
    "load_vector": "equipoise.steering",
    "monitor": "equipoise.doors",
    "sites": "equipoise.representation",
    "spikiness": "equipoise.doors",
    "steer": "equipoise.steering",
    "wrap": "equipoise.denoisers",
}
__all__ = [
    "CalibratedDetector",
    "Calibration",
    "ConceptVector",
    "Denoiser",
    "EquipoiseError",
    "Spikiness",
    "SpikinessTransformer",
    "audit",
    "build_preset",
    "calibrate",
    "calibrate_guard",
    "capture",
    "concept",
    "edit",
    "guard",
    "heatmap",
    "load",
    "load_calibration",
    "load_vector",
    "monitor",
    "sites",
    "spikiness",
    "steer",
    "wrap",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import a public name from its room when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'equipoise' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOMES])
