"""`equipoise convert`: a folder without a pickle."""

from pathlib import Path

from equipoise.cli.output import Json, emit


def convert(
    file: Path,
    out: Path,
    *,
    config: Path | None = None,
    heads: int | None = None,
    vae: Path | None = None,
    as_json: Json = False,
) -> None:
    """Write what is in a checkpoint as a folder of safetensors and JSON, and open it to prove it.

    Nothing in the file is run. Averaged weights are taken where a file has both. Pipelines become
    folders of diffusers; EDM snapshots and official DiT files a folder that `equipoise` opens.

    Args:
        file: An EDM snapshot, a DiT file, a single file of Stable Diffusion 1.x, or a folder of
            diffusers.
        out: Folder to write; must not exist or be empty.
        config: For a single file of Stable Diffusion: a folder of diffusers with its architecture.
        heads: For a DiT file of a width that was never published: its attention heads.
        vae: For a DiT file: the folder of its autoencoder, which is copied.
    """
    from equipoise.converting import convert as write

    fingerprint = write(file, out, config=config, heads=heads, vae=vae)
    document = {"file": str(file), "out": str(out), "fingerprint": fingerprint}
    emit(document, f"{out}: weights {fingerprint}, opened again and equal", as_json=as_json)
