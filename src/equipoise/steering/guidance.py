"""Which half of a guided call is steered; how the halves are told apart: `denoisers/halves.py`."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from equipoise.denoisers.halves import Halves
from equipoise.errors import BadInputError

Guidance = Literal["both", "cond", "uncond"]
GUIDANCE: tuple[Guidance, ...] = get_args(Guidance)


def choose_rows(halves: Halves, guidance: Guidance) -> Bool[Tensor, " row"]:
    """Return the rows that a choice of half means."""
    if guidance == "both":
        return torch.ones_like(halves.conditional)
    return halves.conditional if guidance == "cond" else ~halves.conditional


def check_guidance(guidance: str, model: object, empty: Tensor | None) -> None:
    """Refuse to choose a half of a model that knows no condition."""
    if guidance not in GUIDANCE:
        raise BadInputError(f'guidance is "both", "cond" or "uncond", not "{guidance}".')
    if guidance != "both" and empty is None:
        raise BadInputError(
            f'guidance="{guidance}" has no meaning for a {type(model).__name__}: it takes no '
            'condition. Leave it at "both".'
        )
