"""A MODEL of ComfyUI that is steered whenever its sampler calls it.

ComfyUI hands the wrapper its noise levels as they are (`x = x0 + sigma eps`) and says which rows
have the prompt and which the negative one, so nothing is guessed. Hooks live for one call.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from equipoise.errors import BadInputError, UnknownSiteError
from equipoise.steering import ConceptVector, Guidance
from equipoise.steering.activation import steer_activation
from equipoise.steering.rows import Rows

from .site_names import translate

COND = 0
"""ComfyUI's mark of rows that have the prompt; the others have the negative one."""


def steer_model(
    model: Any,
    vector: ConceptVector,
    *,
    strength: float,
    window: tuple[float, float],
    guidance: Guidance,
) -> Any:
    """Return a clone of a MODEL that is steered; the MODEL itself is not.

    Args:
        model: A ModelPatcher of ComfyUI with a U-Net of Stable Diffusion.
        vector: What to steer with, made with the same weights in equipoise.
        strength: In units of the vector.
        window: Lowest and highest noise level at which to act.
        guidance: Which rows: "both", "cond" or "uncond".

    Raises:
        BadInputError: when the MODEL is no U-Net of Stable Diffusion, or the window is none.
        UnknownSiteError: when a site of the vector has no place in it.
    """
    if not 0 <= window[0] < window[1]:
        raise BadInputError(f"The window {window} is none: the lowest noise level comes first.")
    places = find_places(model.model.diffusion_model, vector)
    before = model.model_options.get("model_function_wrapper")

    def call_steered(apply_model: Callable[..., torch.Tensor], args: Mapping[str, Any]) -> Any:
        rows = _build_rows(args, strength, window, guidance)
        with ExitStack() as stack:
            for site, (module, side) in places.items():
                stack.callback(_hook(module, side, site, rows, vector).remove)
            if before is not None:  # another node's wrapper, which would be lost otherwise
                return before(apply_model, args)
            return apply_model(args["input"], args["timestep"], **args["c"])

    steered = model.clone()
    steered.set_model_unet_function_wrapper(call_steered)
    return steered


def find_places(network: nn.Module, vector: ConceptVector) -> dict[str, tuple[nn.Module, str]]:
    """Find module and side of every site of a vector in ComfyUI's U-Net.

    Raises:
        BadInputError: when the network is no U-Net of Stable Diffusion.
        UnknownSiteError: when it has no such module.
    """
    counts = set(getattr(network, "num_res_blocks", ()))
    if len(counts) != 1 or not hasattr(network, "output_blocks"):
        raise BadInputError(
            f"A MODEL with the network {type(network).__name__} was given; a U-Net of Stable "
            "Diffusion 1.x, 2.x or XL is needed."
        )
    modules, places = dict(network.named_modules()), {}
    for site in vector.sites:
        name, side = translate(site, counts.copy().pop())
        if name not in modules:
            raise UnknownSiteError(
                f'The site "{site}" would be "{name}", which the network of this MODEL has not. '
                "The vector was made with another architecture."
            )
        places[site] = (modules[name], side)
    return places


def _build_rows(
    args: Mapping[str, Any], strength: float, window: tuple[float, float], guidance: Guidance
) -> Rows:
    """Give every row of the call its noise level and strength."""
    sigma = args["timestep"].detach().double().cpu()
    marks = torch.tensor(args["cond_or_uncond"])
    asked = marks.repeat_interleave(len(sigma) // len(marks)) == COND
    wanted = {"both": torch.ones_like(asked), "cond": asked, "uncond": ~asked}[guidance]
    active = wanted & (sigma >= window[0]) & (sigma <= window[1])
    return Rows(sigma, torch.where(active, strength, 0.0)[None], mask=None)


def _hook(module: nn.Module, side: str, site: str, rows: Rows, vector: ConceptVector) -> Any:
    def change(h: torch.Tensor) -> torch.Tensor:
        if not bool(rows.strengths.any()):
            return h
        return steer_activation(h, site, rows, [vector], mode="add", affine=False)

    if side == "in":
        return module.register_forward_pre_hook(lambda _, args: (change(args[0]), *args[1:]))
    return module.register_forward_hook(lambda _, __, output: change(output))
