"""Look through a diffusers folder before anything of it is opened.

A folder names the classes it is made of and the sizes they have. Only classes that are known to be
plain networks, schedulers and tokenizers may appear, never a file of code; and numbers have
bounds, so that a hostile configuration cannot ask for a network that never ends.
"""

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from equipoise.errors import BadInputError, UnsafeFileError, quote

INDEX = "model_index.json"
CONFIG = "config.json"
CONFIGS = (CONFIG, "scheduler_config.json")
SCHEDULERS = ("DDIM", "DDPM", "PNDM", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete",
              "DPMSolverMultistep", "DPMSolverSinglestep", "HeunDiscrete", "UniPCMultistep",
              "DEISMultistep", "KDPM2Discrete", "KDPM2AncestralDiscrete", "LCM",
              "ScoreSdeVe", "FlowMatchEulerDiscrete")  # fmt: skip
NETWORKS = {
    "AutoencoderKL": "diffusers",
    "DiTTransformer2DModel": "diffusers",
    "FluxTransformer2DModel": "diffusers",
    "PixArtTransformer2DModel": "diffusers",
    "SD3Transformer2DModel": "diffusers",
    "Transformer2DModel": "diffusers",
    "UNet2DConditionModel": "diffusers",
    "UNet2DModel": "diffusers",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "T5EncoderModel": "transformers",
}
"""The networks that are opened, and the library of each."""
TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast", "T5Tokenizer", "T5TokenizerFast")
COMPONENTS = frozenset({
    *((library, name) for name, library in NETWORKS.items()),
    *(("transformers", name) for name in TOKENIZERS),
    ("transformers", "CLIPImageProcessor"),
    ("transformers", "CLIPFeatureExtractor"),
    ("stable_diffusion", "StableDiffusionSafetyChecker"),
    *(("diffusers", f"{name}Scheduler") for name in SCHEDULERS),
})  # fmt: skip
"""Library and class of everything a pipeline may be made of."""
MAX_JSON = 1 << 20
MAX_NUMBER = 1_000_000
MAX_LAYERS = 10_000
UNBOUNDED = ("lambda_min_clipped",)
"""Limits of a scheduler that may be infinite; nothing is as large as they say."""


def read_index(folder: Path) -> str:
    """Check what a pipeline's folder says it is made of, and return the class of the pipeline.

    Raises:
        UnsafeFileError: when it asks for code of its own, or for a size out of bounds.
        BadInputError: when it cannot be read.
    """
    index = read_json(folder / INDEX)
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise UnsafeFileError(
            f'"{folder}" asks for a pipeline of its own code, which is never run. Use a folder '
            "whose pipeline is one of diffusers'."
        )
    for part, made_of in index.items():
        if isinstance(made_of, list) and made_of != [None, None]:
            _check_component(folder, part, made_of)
            for config in CONFIGS:
                if (folder / part / config).is_file():
                    check_numbers(folder / part / config)
    return name


def read_components(folder: Path) -> dict[str, str]:
    """Return the class of every part of a pipeline that `read_index` has checked."""
    index = read_json(folder / INDEX)
    parts = {part: made_of for part, made_of in index.items() if isinstance(made_of, list)}
    return {part: made_of[1] for part, made_of in parts.items() if made_of != [None, None]}


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        BadInputError: when it is none.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise UnsafeFileError(f'"{path}" is larger than {MAX_JSON} bytes.')
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInputError(f'"{path}" cannot be read: {error}.') from error
    if not isinstance(document, dict):
        raise BadInputError(f'"{path}" holds no JSON object.')
    return document


def check_numbers(path: Path) -> None:
    """Refuse a configuration whose numbers no model of this kind has.

    Raises:
        UnsafeFileError: naming the number.
    """
    config = read_json(path)
    layers = 1
    for key, value in config.items():
        if key in UNBOUNDED:
            continue
        numbers = [n for n in _flatten(value) if isinstance(n, (int, float))]
        if len(numbers) > MAX_NUMBER or any(not -MAX_NUMBER <= n <= MAX_NUMBER for n in numbers):
            raise UnsafeFileError(
                f'"{path}" asks for {quote(key)} beyond {MAX_NUMBER}, which no model has.'
            )
        if "layers" in key or key.endswith(("block_types", "block_out_channels")):
            counts = [n for n in numbers if "layers" in key] or [len(_flatten(value))]
            layers *= max(1, math.ceil(max(counts)))
    if layers > MAX_LAYERS:
        raise UnsafeFileError(f'"{path}" asks for more than {MAX_LAYERS} layers.')


def count_numbers(folder: Path) -> int:
    """Count the numbers in the safetensors files of a component, from their headers.

    A tensor that is there in two precisions counts once.

    Raises:
        UnsafeFileError: when a header is damaged.
    """
    sizes: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                sizes |= {n: math.prod(file.get_slice(n).get_shape()) for n in file.keys()}
        except (SafetensorError, OSError) as error:
            raise UnsafeFileError(
                f'"{path}" is damaged or ends early: {error}. Fetch it again.'
            ) from error
    return sum(sizes.values())


def _check_component(folder: Path, part: str, made_of: list[Any]) -> None:
    plain = len(made_of) == 2 and all(isinstance(word, str) for word in made_of)
    if not plain or tuple(made_of) not in COMPONENTS or Path(part).name != part:
        asked = " of ".join(quote(word) for word in made_of[1::-1])
        raise UnsafeFileError(
            f'"{folder}" asks for {asked} as its {quote(part)}, which is none of the classes that '
            "are opened. Code of a model's own is never run. If you trust it, open it with "
            "diffusers and give the live pipeline to equipoise.load."
        )


def _flatten(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _flatten(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _flatten(item)]
    return [value]
