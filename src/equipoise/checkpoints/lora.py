r"""LoRA files: small changes of the weights of a network, as products of two thin matrices.

    W' = W + scale (alpha / rank) B A

Read are safetensors as diffusers and peft write them (`MODULE.lora_A.weight`,
`MODULE.lora.down.weight`, with `unet.`, `transformer.` or `base_model.model.` in front) and as the
trainers of kohya do (`lora_unet_MODULE.lora_down.weight`), a file or a folder of peft. Alpha comes
from the file, from its metadata or from peft's `adapter_config.json`; without any it is the rank.
Parts for text encoders are counted and left out.

References:
    LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2022), Eq. 3 | arXiv 2106.09685
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equipoise.checkpoints.folder import read_json
from equipoise.errors import BadInputError, UnsafeFileError, quote

CONFIG = "adapter_config.json"
METADATA = "lora_adapter_metadata"
DOWN, UP = ("lora_A", "lora_down", "lora.down"), ("lora_B", "lora_up", "lora.up")
NETWORK = re.compile(r"(?:unet\.|transformer\.|base_model\.model\.|lora_unet_|lora_transformer_)+")
TEXT = re.compile(r"(?:text_encoder|lora_te)")


@dataclass(frozen=True)
class LowRank:
    """The change of one module's weight."""

    down: Float[Tensor, "rank ..."]
    up: Float[Tensor, "out ..."]
    scale: float

    def build_change(self) -> Float[Tensor, "out in"]:
        """Multiply out: (out, in), with the axes of a kernel behind `in` laid flat."""
        return self.scale * self.up.float().flatten(1) @ self.down.float().flatten(1)


@dataclass(frozen=True)
class Lora:
    """What a LoRA file changes: modules by the names it gives them, and what was left out."""

    parts: Mapping[str, LowRank]
    left_out: int


def read_lora(path: Path) -> Lora:
    """Read a LoRA of a file, or of a folder of peft.

    Raises:
        BadInputError: when it is none, or of another kind of adapter.
        UnsafeFileError: when it is damaged.
    """
    file = path
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise BadInputError(
                f'"{path}" holds {len(found)} safetensors files: give the one of the LoRA.'
            )
        file = found[0]
    tensors, alphas, told = _read_tensors(file)
    config = read_json(file.parent / CONFIG) if (file.parent / CONFIG).is_file() else told
    text = {name for name in tensors if TEXT.match(name)}
    downs = {m: t for m, t in _take(tensors, DOWN).items() if not TEXT.match(m)}
    ups = {m: t for m, t in _take(tensors, UP).items() if not TEXT.match(m)}
    if not downs or downs.keys() != ups.keys() or 2 * len(downs) + len(text) != len(tensors):
        strange = [n for n in tensors if n not in text and not _is_known(n)]
        raise BadInputError(
            f'"{file}" holds no plain LoRA: {len(downs)} modules have a first and {len(ups)} a '
            f"second matrix, and it has {quote(next(iter(strange or tensors), 'nothing'))}. LoRA "
            "of diffusers, peft and kohya's trainers is read; LoHa, LoKr and DoRA are not."
        )
    parts = {
        NETWORK.sub("", module, count=1): LowRank(
            down, ups[module], _scale(module, len(down), alphas, config)
        )
        for module, down in downs.items()
    }
    return Lora(parts, left_out=len(text) // 2)


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, float], dict[str, Any]]:
    """Read matrices, the alphas of modules, and what diffusers wrote into the metadata."""
    try:
        with safe_open(file, framework="pt") as opened:
            tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}
            written = (opened.metadata() or {}).get(METADATA, "{}")
        told = json.loads(written)
    except (SafetensorError, OSError, ValueError) as error:
        raise UnsafeFileError(
            f'"{file}" is no safetensors file, is damaged or ends early: '
            f"{str(error).splitlines()[0]}."
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise BadInputError(f'"{file}" holds NaN or infinity; save the LoRA of a healthy step.')
    alphas = {n.removesuffix(".alpha"): float(t) for n, t in tensors.items() if _is_alpha(n)}
    # The metadata names every value after its network: "unet.lora_alpha".
    flat = {str(name).rpartition(".")[2]: value for name, value in dict(told).items()}
    return {n: t for n, t in tensors.items() if not _is_alpha(n)}, alphas, flat


def _take(tensors: Mapping[str, Tensor], kinds: tuple[str, ...]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        plain = name.removesuffix(".weight").removesuffix(".default")
        for kind in kinds:
            if plain.endswith(f".{kind}"):
                found[plain.removesuffix(f".{kind}")] = tensor
    return found


def _is_alpha(name: str) -> bool:
    return name.endswith(".alpha")


def _is_known(name: str) -> bool:
    return bool(_take({name: torch.empty(0)}, DOWN + UP))


def _scale(
    module: str, rank: int, alphas: Mapping[str, float], config: Mapping[str, Any]
) -> float:
    patterns = config.get("alpha_pattern") or {}
    if config.get("use_dora") or patterns:
        raise BadInputError("A LoRA with DoRA or an alpha_pattern is not read.")
    alpha = alphas.get(module, config.get("lora_alpha", rank))
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
