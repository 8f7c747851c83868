r"""Attention entropy: a memorized prompt spreads cross-attention evenly over the tokens.

    A_n = mean over heads and positions of softmax(q k^T / sqrt(d))_n
    score = -sum_n A_n log A_n

at one cross-attention layer, one step from pure noise, with the prompt: the published mode "E",
which looks at the fourth layer of the forward. The other published mode, over the last ten steps
of a generation, is not here.

Queries and keys are captured where they leave their projections, so nothing of the model is
replaced, and the forward stops there.

References:
    Unveiling and Mitigating Memorization in Text-to-image Diffusion Models through Cross Attention
    (Ren et al., 2024) | arXiv 2403.11052
"""

from typing import Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card, list_cross_attention
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.errors import BadInputError
from equipoise.representation import capture

PUBLISHED_LAYER = 3


class AttentionEntropy(DrawnDetector):
    """Entropy over tokens of the mean cross-attention of one layer."""

    layer: int = Field(default=PUBLISHED_LAYER, ge=0)
    """Cross-attention layer, counted from 0 in the order of a forward."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="attention_entropy",
            source="Ren et al., 2024 | arXiv 2403.11052",
            formula="-sum A log A over tokens",
            needs=("condition", "attention"),
            evaluations=self.draws,
            direction="a memorized prompt spreads attention over its tokens",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Capture queries and keys at pure noise; one truncated forward a draw.

        Raises:
            BadInputError: when the model has no such layer.
        """
        name = _find_layer(denoiser, self.layer)
        module: Any = denoiser.network.get_submodule(name)
        places = [f"{name}.to_q:out", f"{name}.to_k:out"]

        def measure_noisy(noisy: Noisy) -> Tensor:
            with capture(denoiser, places, pooling="none") as tape:
                denoiser.denoise(noisy.noise, noisy.sigma, noisy.cond)
            return measure_entropy(*(tape[place] for place in places), heads=module.heads)

        return measure_noisy


def measure_entropy(
    q: Float[Tensor, "batch position unit"],
    k: Float[Tensor, "batch token unit"],
    *,
    heads: int,
) -> Float[Tensor, " batch"]:
    """Measure the entropy of the mean attention over tokens, in nats, from 0 to log(tokens)."""
    q, k = (x.double().unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k))
    logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5  # (batch, head, position, token)
    A = logits.softmax(dim=-1).mean(dim=(1, 2))
    return -(A * A.clamp_min(1e-300).log()).sum(dim=1)


def _find_layer(denoiser: Denoiser, layer: int) -> str:
    names = list_cross_attention(denoiser)
    if layer >= len(names):
        raise BadInputError(
            f"There is no cross-attention layer {layer}: the model has {len(names)}, counted from "
            "0 in the order of a forward. Give a smaller one."
        )
    return names[layer]
