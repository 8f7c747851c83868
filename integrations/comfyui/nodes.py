"""The three nodes. A model is named as in equipoise: a folder, a file, or "zoo:NAME".

ComfyUI's types: IMAGE is a tensor (image, height, width, channel) with values in [0, 1]; MODEL a
ModelPatcher. Paths are typed in, since models of equipoise lie where people keep them.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image

import equipoise as eq
from equipoise.auditing.subject import Subject, open_subject
from equipoise.errors import BadInputError
from equipoise.images import as_unit, quantize, read_picture

from .steering import steer_model

CATEGORY = "equipoise"
MODEL_INPUT = ("STRING", {"default": "zoo:edm-fashion"})


class EquipoiseSpikiness:
    """Score images by their spikiness: higher = more memorized. Ranks only, no verdicts."""

    CATEGORY = CATEGORY
    FUNCTION = "score"
    RETURN_TYPES = ("FLOAT", "STRING")
    RETURN_NAMES = ("scores", "text")
    OUTPUT_IS_LIST = (True, False)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Say what goes in."""
        return {"required": {"images": ("IMAGE",), "model": MODEL_INPUT}}

    def score(self, images: torch.Tensor, model: str) -> tuple[list[float], str]:
        """Return one score an image, and a list for people."""
        denoiser = _open(model).denoiser
        scores = eq.spikiness(denoiser, _read(images, denoiser)).values.tolist()
        lines = [f"image {number}: {score:.4g}" for number, score in enumerate(scores)]
        return scores, "\n".join([*lines, "uncalibrated: these scores only rank"])


class EquipoiseGuard:
    """Part a batch of images into those that pass and those that look memorized.

    An output without an image blocks the nodes behind it.
    """

    CATEGORY = CATEGORY
    FUNCTION = "check"
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING")
    RETURN_NAMES = ("passed", "withheld", "verdicts")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Say what goes in; a model of the zoo brings its calibration."""
        return {
            "required": {
                "images": ("IMAGE",),
                "model": MODEL_INPUT,
                "calibration": ("STRING", {"default": ""}),
                "inconclusive": (["pass", "withhold"],),
            }
        }

    def check(
        self, images: torch.Tensor, model: str, calibration: str, inconclusive: str
    ) -> tuple[Any, Any, str]:
        """Return what passes, what is withheld, and a verdict an image for people."""
        subject = _open(model)
        path = Path(calibration) if calibration else subject.shipped
        if path is None:
            raise BadInputError(
                f'The model "{model}" brings no calibration: name the file that `equipoise '
                "calibrate` wrote for it."
            )
        detector = eq.CalibratedDetector(subject.denoiser, eq.load_calibration(path))
        found = detector(_read(images, subject.denoiser))
        stopped = {"memorized"} | ({"inconclusive"} if inconclusive == "withhold" else set())
        withheld = torch.tensor([verdict in stopped for verdict in found.verdicts])
        rows = zip(found.verdicts, found.p_values.tolist(), strict=True)
        lines = [f"image {number}: {verdict}, p = {p:.3g}" for number, (verdict, p) in
                 enumerate(rows)]  # fmt: skip
        return _give(images[~withheld]), _give(images[withheld]), "\n".join(lines)


class EquipoiseSteer:
    """Steer a model of ComfyUI with a concept vector that was made with the same weights."""

    CATEGORY = CATEGORY
    FUNCTION = "steer"
    RETURN_TYPES = ("MODEL",)
    GUIDANCE: ClassVar[list[str]] = ["both", "cond", "uncond"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Say what goes in; noise levels are ComfyUI's own sigmas."""
        level = {"min": 0.0, "max": 1000.0, "step": 0.01}
        strength = {"default": 0.8, "min": -10.0, "max": 10.0, "step": 0.05}
        return {
            "required": {
                "model": ("MODEL",),
                "vector": ("STRING", {"default": "concept_vector.safetensors"}),
                "strength": ("FLOAT", strength),
                "sigma_low": ("FLOAT", {"default": 0.0} | level),
                "sigma_high": ("FLOAT", {"default": 1000.0} | level),
                "guidance": (cls.GUIDANCE,),
            }
        }

    def steer(
        self,
        model: Any,
        vector: str,
        strength: float,
        sigma_low: float,
        sigma_high: float,
        guidance: Any,
    ) -> tuple[Any]:
        """Return a clone of the model that is steered."""
        window = (sigma_low, sigma_high)
        found = eq.load_vector(vector)
        return (steer_model(model, found, strength=strength, window=window, guidance=guidance),)


NODE_CLASS_MAPPINGS = {
    "EquipoiseSpikiness": EquipoiseSpikiness,
    "EquipoiseGuard": EquipoiseGuard,
    "EquipoiseSteer": EquipoiseSteer,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "EquipoiseSpikiness": "Spikiness (equipoise)",
    "EquipoiseGuard": "Guard against copies (equipoise)",
    "EquipoiseSteer": "Steer by a concept (equipoise)",
}


@lru_cache(maxsize=1)
def _open(model: str) -> Subject:
    """Open a model once, on the graphics card where there is one."""
    return open_subject(model, device="cuda" if torch.cuda.is_available() else "cpu")


def _read(images: torch.Tensor, denoiser: eq.Denoiser) -> torch.Tensor:
    """Bring a batch to what the model encodes, by the rule that an audit reads files by."""
    pictures = []
    for image in quantize(images).numpy():
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
        pictures.append(read_picture(file.getvalue(), denoiser.image_shape).pixels)
    return as_unit(torch.stack(pictures))


def _give(images: torch.Tensor) -> Any:
    """Return a batch; an empty one would break the nodes behind, so they are blocked instead."""
    if len(images):
        return images
    from comfy_execution.graph import ExecutionBlocker

    return ExecutionBlocker(None)
