"""Convert whatever `load` reads into a folder that holds no program: safetensors and JSON."""

from pathlib import Path
from typing import Any

from equipoise.checkpoints.file import open_checkpoint
from equipoise.checkpoints.snapshot import Snapshot
from equipoise.denoisers import fingerprint
from equipoise.denoisers.dit_file import MARK as DIT_MARK
from equipoise.denoisers.pipeline import load_pipeline, load_single_file, load_vae
from equipoise.denoisers.safe_folder import save_dit, save_edm
from equipoise.denoisers.snapshot import read_parts
from equipoise.denoisers.stable_diffusion import MARK as STABLE_DIFFUSION_MARK
from equipoise.errors import BadInputError
from equipoise.loading import load


def convert(
    source: Path,
    out: Path,
    *,
    config: Path | None = None,
    heads: int | None = None,
    vae: Path | None = None,
) -> str:
    """Write a safe folder, and open it again to prove that its weights are those of the source.

    Args:
        source: A file (EDM snapshot, DiT, Stable Diffusion 1.x) or a folder of diffusers.
        out: Folder to write; must not exist or be empty.
        config: For a single file of Stable Diffusion, a folder with the same architecture.
        heads: For a DiT file of a width that was never published.
        vae: For a DiT file, the folder of its autoencoder, which is copied.

    Returns:
        The fingerprint of the weights.

    Raises:
        BadInputError: when `out` is not empty, or the source is of another kind.
        UnsafeFileError, NonFiniteError: as for `equipoise.load`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInputError(f'"{out}" is there already and not empty; give another folder.')
    given = {"config": config, "heads": heads, "vae": vae}
    words: dict[str, Any] = {name: word for name, word in given.items() if word is not None}
    before = fingerprint(load(source, **words))
    _write(source, out, config=config, heads=heads, vae=vae)
    after = fingerprint(load(out))
    if before != after:
        raise BadInputError(
            f'"{out}" holds the weights {after}, and "{source}" {before}. Do not use the folder, '
            "and report this."
        )
    return after


def _write(
    source: Path, out: Path, *, config: Path | None, heads: int | None, vae: Path | None
) -> None:
    if source.is_dir():
        return load_pipeline(source).save_pretrained(out, safe_serialization=True)
    contents = open_checkpoint(source)
    if isinstance(contents, Snapshot):
        return save_edm(read_parts(contents), out)
    if DIT_MARK in contents.tensors:
        opened = None if vae is None else load_vae(vae)
        return save_dit(contents.tensors, out, heads=heads, vae=opened)
    assert STABLE_DIFFUSION_MARK in contents.tensors, "load has opened it"
    assert config is not None, "load has asked for it"
    load_single_file(source, contents, config).save_pretrained(out, safe_serialization=True)
