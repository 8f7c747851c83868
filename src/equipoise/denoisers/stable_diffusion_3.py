r"""Stable Diffusion 3 and 3.5: a flow by a transformer with joint attention of text and picture.

The empty condition is the encoded empty prompt, of all encoders that the pipeline has. Text and
picture run through MLPs of their own, so that default sites can be the picture's alone, as in
DiT: the hidden units of `ff` (not of `ff_context`) in the last third of the blocks.

References:
    Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (Esser et al., 2024)
    | arXiv 2403.03206
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.text_to_image import Parts, TextFamily


@torch.no_grad()
def _encode(pipeline: Any, prompts: Sequence[str], _: object) -> Parts:  # noqa: ANN401
    text, _, pooled, _ = pipeline.encode_prompt(
        prompt=list(prompts), prompt_2=None, prompt_3=None, do_classifier_free_guidance=False
    )
    return {"text": text, "pooled": pooled}


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    return network(
        z, encoder_hidden_states=parts["text"], pooled_projections=parts["pooled"], timestep=time
    ).sample


STABLE_DIFFUSION_3 = TextFamily(
    network="transformer",
    encode=_encode,
    tell=_tell,
    sites=lambda config: list_late_sites(config.num_layers),
    guidance=7.0,
    flow=True,
)
