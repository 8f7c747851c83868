"""What is in a checkpoint, without loading it into a network: `equipoise inspect`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipoise.checkpoints.archive import AVERAGED, Weights
from equipoise.checkpoints.file import open_checkpoint
from equipoise.checkpoints.folder import INDEX, read_index
from equipoise.checkpoints.snapshot import ModuleState, Snapshot, read_plain
from equipoise.errors import BadInputError

MARKS = {
    "x_embedder.proj.weight": "DiT, official weights",
    "model.diffusion_model.input_blocks.0.0.weight": "Stable Diffusion 1.x, single file",
    "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight": "DiT of diffusers",
    "up_blocks.0.resnets.0.conv2.weight": "U-Net of diffusers",
    "decoder.up_blocks.0.resnets.0.conv2.weight": "VAE of diffusers",
}
"""What a file of named tensors is, by one that no other has."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Summary:
    """What is in a checkpoint.

    Args:
        family: What kind of model it is.
        tensors: Number of tensors.
        numbers: Number of numbers in them.
        precision: Numbers of each type.
        averaged: Whether the weights are averaged over training, as far as the file says.
        non_finite: Tensors that hold NaN or infinity.
        notes: What is remarkable: code that rides along, things left out.
        made_with: What the network was made with, where the file says it.
    """

    family: str
    tensors: int
    numbers: int
    precision: dict[str, int]
    averaged: str
    non_finite: tuple[str, ...]
    notes: tuple[str, ...] = ()
    made_with: dict[str, Any] = field(default_factory=dict)


def summarize(path: Path) -> Summary:
    """Say what is in a checkpoint file or a folder of diffusers; no network is built.

    Raises:
        BadInputError: when it is no checkpoint; says what it is instead.
        UnsafeFileError: when it is damaged, or asks for more than weights.
    """
    if path.is_dir():
        return _summarize_folder(path)
    contents = open_checkpoint(path)
    if isinstance(contents, Snapshot):
        return _summarize_snapshot(contents)
    return _summarize_weights(contents)


def _summarize_snapshot(snapshot: Snapshot) -> Summary:
    model = snapshot.ema.children.get("model", snapshot.ema)
    sources = {module.source for module in _walk(snapshot.ema) if module.source}
    size = sum(map(len, sources))
    other = ", ".join(sorted(snapshot.other)) or "nothing"
    return _measure(
        snapshot.tensors(),
        family=f"EDM snapshot, {snapshot.ema.class_name} around {_name_network(model)}",
        averaged="yes: a snapshot keeps its averaged network",
        notes=(
            f"{len(sources)} source file(s) of {size} characters ride along, as in every "
            "snapshot; they are never run",
            f"left out: {other}",
        ),
        made_with={key: _show(value) for key, value in model.keywords.items()},
    )


def _summarize_weights(weights: Weights) -> Summary:
    names = weights.tensors
    family = next((told for mark, told in MARKS.items() if mark in names), UNKNOWN)
    both = any(name.startswith("model_ema.") for name in names)
    averaged = "not said"
    if weights.entry in AVERAGED:
        averaged = f'yes: those under "{weights.entry}"'
    elif both:
        averaged = "yes: averaged weights of the U-Net lie beside the plain ones"
    beside = [entry for entry in weights.entries if weights.entry and entry != weights.entry]
    notes = (f"left out: {', '.join(beside)}",) if beside else ()
    return _measure(names, family=family, averaged=averaged, notes=notes)


def _summarize_folder(folder: Path) -> Summary:
    if not (folder / INDEX).is_file():
        raise BadInputError(f'"{folder}" is no folder of a pipeline: it has no {INDEX}.')
    family = f"diffusers folder, {read_index(folder)}"
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*/*.safetensors")):
        contents = open_checkpoint(path)
        assert isinstance(contents, Weights)
        tensors |= {f"{path.parent.name}.{n}": t for n, t in contents.tensors.items()}
    code = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.py"))]
    pickled = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.bin"))]
    notes = [f"code of its own, never run: {', '.join(code)}"] if code else []
    notes += [f"pickled weights, never opened: {', '.join(pickled)}"] if pickled else []
    return _measure(tensors, family=family, averaged="not said", notes=tuple(notes))


def _measure(
    tensors: dict[str, Tensor],
    *,
    family: str,
    averaged: str,
    notes: tuple[str, ...],
    made_with: dict[str, Any] | None = None,
) -> Summary:
    precision: Counter[str] = Counter()
    for tensor in tensors.values():
        precision[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return Summary(
        family=family,
        tensors=len(tensors),
        numbers=sum(precision.values()),
        precision=dict(precision),
        averaged=averaged,
        non_finite=tuple(n for n, t in tensors.items() if not bool(torch.isfinite(t).all())),
        notes=notes,
        made_with=made_with or {},
    )


def _walk(module: ModuleState) -> Iterator[ModuleState]:
    yield module
    for child in module.children.values():
        yield from _walk(child)


def _name_network(model: ModuleState) -> str:
    """Name the network by its class and, where it is known, by the name of the architecture."""
    if model.class_name == "DhariwalUNet":
        return "DhariwalUNet (adm)"
    if model.class_name == "SongUNet":
        fourier = model.keywords.get("embedding_type") == "fourier"
        return f"SongUNet ({'ncsn++' if fourier else 'ddpm++'})"
    return model.class_name


def _show(value: object) -> object:
    """Return numbers, texts and short lists as they are, and what is anything else by its type."""
    plain = [read_plain(v) for v in value] if type(value) is list else read_plain(value)
    items = plain if isinstance(plain, list) else [plain]
    if all(isinstance(item, (int, float, str, type(None))) for item in items[:64]):
        return plain if not isinstance(plain, list) else plain[:64]
    return type(value).__name__
