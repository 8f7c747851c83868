"""The halves of a guided call: which rows carry the condition, known and never guessed.

- Most pipelines with guidance say themselves whether a call is guided, and put the rows without
  the prompt first. That the batch really is two equal halves is checked at every call.
- Everywhere else a row says it by its own condition: it is without when it equals the model's
  empty one (the null class, the empty prompt).

A call that is not guided has one row a sample; guided in one batch, it has two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from equipoise.denoisers.family import find_family
from equipoise.denoisers.network_call import NetworkCall
from equipoise.errors import BadInputError

FLAG = "do_classifier_free_guidance"


@dataclass(frozen=True)
class Halves:
    """Which rows of a call carry the condition, and whether every sample has two rows."""

    conditional: Bool[Tensor, " row"]
    doubled: bool


ReadHalves = Callable[[NetworkCall], Halves]


def build_half_reader(model: object, empty: Tensor | None) -> ReadHalves:
    """Say how the halves of a model's calls are known.

    Args:
        model: What was given: a pipeline, or a denoiser.
        empty: Its empty condition as a call shows it, with a batch axis of 1; None where it takes
            no condition.
    """
    if hasattr(type(model), FLAG) and find_family(model).empty_half == 0:
        pipeline: Any = model
        return lambda call: _read_flag(call, guided=pipeline.do_classifier_free_guidance)
    return lambda call: _read_rows(call, empty)


def _read_flag(call: NetworkCall, *, guided: bool) -> Halves:
    rows = len(call.sample)
    if not guided:
        return Halves(torch.ones(rows, dtype=torch.bool), doubled=False)
    first, second = call.sample[: rows // 2], call.sample[rows // 2 :]
    if len(first) != len(second) or not bool(torch.equal(first, second)):
        raise BadInputError(
            f"The pipeline says that its call is guided, and the {rows} rows of this one are not "
            "two equal halves. Take the pipeline's own call; for a loop of your own, make a "
            "denoiser of the network with equipoise.load(unet, scheduler=...)."
        )
    return Halves(torch.arange(rows) >= rows // 2, doubled=True)


def _read_rows(call: NetworkCall, empty: Tensor | None) -> Halves:
    rows = len(call.sample)
    if empty is None or call.condition is None:
        return Halves(torch.zeros(rows, dtype=torch.bool), doubled=False)
    differs = (call.condition != empty.to(call.condition)).reshape(len(call.condition), -1)
    conditional = differs.any(dim=1).cpu().expand(rows)
    half = rows // 2
    doubled = (
        rows % 2 == 0
        and int(conditional.sum()) == half
        and (bool(conditional[:half].all()) or bool(conditional[half:].all()))
        and bool(torch.equal(call.sample[:half], call.sample[half:]))
    )
    return Halves(conditional, doubled)
