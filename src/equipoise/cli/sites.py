"""`equipoise sites`: where one can look in a model."""

from equipoise.cli.output import Device, Json, emit, tabulate


def sites(
    model: str, pattern: str = "**", *, device: Device = "cpu", as_json: Json = False
) -> None:
    """List the places of a model that can be captured, with their shapes; runs no weights.

    Args:
        model: The model, "zoo:NAME".
        pattern: Only sites like this, for example "up_blocks.*.resnets.*.conv2:in"; "*" stands
            for one part of a name, "**" for any.
        as_json: Print one JSON document on standard output and nothing else.
    """
    from equipoise.loading import load
    from equipoise.representation import select_sites
    from equipoise.representation import sites as list_sites

    denoiser = load(model, device=device)
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
            "default": site.name in defaults,
        }
        for site in list_sites(denoiser)
        if site.name in shown
    ]
    table = tabulate(
        ["site", "module", "shape", ""],
        [
            [
                row["name"],
                row["module"],
                " x ".join(map(str, row["shape"])),
                "default" if row["default"] else "" if row["calls"] == 1 else "fires repeatedly",
            ]
            for row in rows
        ],
    )
    emit(rows, table, as_json=as_json)
