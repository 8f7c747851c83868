"""Concepts from prompts: the model draws the references itself, one picture a prompt.

The k-th prompts of both sides start from the same noise, so that prompts which differ in one word
give pictures that differ in little else.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser, encode_prompts
from equipoise.errors import BadInputError
from equipoise.sampling import SamplerSpec


def draw_references(
    denoiser: Denoiser, prompts: Sequence[str], *, sampler: SamplerSpec, seed: int
) -> Float[Tensor, "case ..."]:
    """Draw one picture a prompt, values in [0, 1].

    Raises:
        BadInputError: when there is no prompt, or the model takes none.
    """
    if not prompts:
        raise BadInputError("A concept needs at least one prompt, and none was given.")
    ids = [f"reference/{index:06d}" for index in range(len(prompts))]
    conditions = encode_prompts(denoiser, prompts)
    drawn = sampler.sample(denoiser, ids, seed=seed, conditions=conditions)
    return torch.cat([denoiser.decode(x0) for x0 in drawn])
