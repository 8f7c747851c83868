"""`equipoise sites`: where one can look in a model."""

from pathlib import Path
from typing import Any

from equipoise.cli.output import Device, Json, Size, emit, tabulate


def sites(
    model: str,
    pattern: str = "**",
    *,
    config: Path | None = None,
    heads: int | None = None,
    size: Size = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """List the places of a model that can be captured, with shape and cost; runs no weights.

    The cost of a place is the share of a forward's FLOPs that is spent before it: what a forward
    that stops there costs. Places marked as default are those a detector looks at unless told
    otherwise.

    Args:
        model: "zoo:NAME", a checkpoint file, a folder of diffusers, or the id of a hub model in
            the local cache.
        pattern: Only sites like this, for example "up_blocks.*.resnets.*.conv2:in"; "*" stands
            for one part of a name, "**" for any.
        config: For a single file of Stable Diffusion: a folder of diffusers with its architecture.
        heads: For a DiT file of a width that was never published: its attention heads.
    """
    from equipoise.loading import load
    from equipoise.representation import select_sites
    from equipoise.representation import sites as list_sites

    words: dict[str, Any] = {"config": config, "heads": heads, "size": size}
    given = {name: word for name, word in words.items() if word is not None}
    denoiser = load(model, device=device, **given)
    shown = set(
        select_sites(denoiser, [pattern] if ":" in pattern else [pattern, f"{pattern}:in"])
    )
    defaults = set(select_sites(denoiser, denoiser.default_sites))
    rows = [
        {
            "name": site.name,
            "module": site.module,
            "shape": list(site.shape),
            "calls": site.calls,
            "share": site.share,
            "default": site.name in defaults,
        }
        for site in list_sites(denoiser)
        if site.name in shown
    ]
    emit(rows, _describe(rows), as_json=as_json)


def _describe(rows: list[dict[str, Any]]) -> str:
    return tabulate(
        ["site", "module", "shape", "share", ""],
        [
            [
                row["name"],
                row["module"],
                " x ".join(map(str, row["shape"])),
                f"{row['share']:.1%}",
                "default" if row["default"] else "" if row["calls"] == 1 else "fires repeatedly",
            ]
            for row in rows
        ],
    )
