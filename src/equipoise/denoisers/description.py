"""A denoiser in one line: what was found in a file or made of a module."""

from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.protocol import Denoiser


def describe(denoiser: Denoiser) -> str:
    """Say in one line what a denoiser is.

    Kind, network (whose name says whose arithmetic it has), weights and their precision, sample,
    picture and condition.
    """
    weights = [*denoiser.network.parameters(), *denoiser.network.buffers()]
    count = sum(tensor.numel() for tensor in weights)
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights})
    parts = [
        f"{_name_kind(denoiser)} around {type(denoiser.network).__name__}",
        f"{count / 1e6:.1f} M numbers in {' and '.join(kinds) or 'no type'}",
        f"samples {_show(denoiser.sample_shape)}",
        f"pictures {_show(denoiser.image_shape)}",
        "no condition" if denoiser.null_condition(1) is None else "with a condition",
    ]
    return ", ".join(parts)


def _name_kind(denoiser: Denoiser) -> str:
    """Name the class, and what makes it what it is: preconditioning, or prediction and times."""
    name = type(denoiser).__name__
    column = getattr(denoiser, "preconditioning", None)
    if column is not None:
        return f"{name} ({type(column).__name__})"
    prediction, grid = getattr(denoiser, "prediction", None), getattr(denoiser, "grid", None)
    times = f", {len(grid.sigmas)} times" if isinstance(grid, NoiseGrid) else ""
    return f"{name} (predicts {prediction}{times})" if prediction else name


def _show(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
