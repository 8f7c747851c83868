r"""PixArt Alpha and Sigma: a DiT that is told a text by cross-attention.

The empty condition is the encoded empty prompt with its mask. Alpha at 1,024 px is told the size
of the picture as well. Default sites are those of DiT: the hidden units of the MLP in the last
third of the blocks, which are its blocks with a cross-attention more.

References:
    PixArt-alpha (Chen et al., 2024) | arXiv 2310.00426
    PixArt-Sigma (Chen et al., 2024) | arXiv 2403.04692
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.text_to_image import Parts, TextFamily

SIZES = ("resolution", "aspect_ratio")


@torch.no_grad()
def _encode(
    pipeline: Any,  # noqa: ANN401 - diffusers is optional
    prompts: Sequence[str],
    image_shape: tuple[int, int, int],
) -> Parts:
    # The pipeline's call cleans captions where it can.
    cleans = all(find_spec(name) is not None for name in ("bs4", "ftfy"))
    text, mask, *_ = pipeline.encode_prompt(
        list(prompts), do_classifier_free_guidance=False, clean_caption=cleans
    )
    parts = {"text": text, "mask": mask}
    if not pipeline.transformer.use_additional_conditions:
        return parts
    _, height, width = image_shape
    told = text.new_tensor([[height, width, height / width]], dtype=torch.float32)
    rows = told.expand(len(text), -1)
    return {**parts, "resolution": rows[:, :2], "aspect_ratio": rows[:, 2:]}


def _tell(network: nn.Module, z: Tensor, time: Tensor, parts: Parts) -> Tensor:
    output = network(
        z, encoder_hidden_states=parts["text"], timestep=time,
        encoder_attention_mask=parts["mask"], added_cond_kwargs={n: parts.get(n) for n in SIZES},
    ).sample  # fmt: skip
    # A model that learned its variance gives it in the channels behind.
    return output[:, : z.shape[1]]


PIXART = TextFamily(
    network="transformer",
    encode=_encode,
    tell=_tell,
    sites=lambda config: list_late_sites(config.num_layers),
    guidance=4.5,
)
