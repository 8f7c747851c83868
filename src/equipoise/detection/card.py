"""The one protocol of all detectors, and the card each carries.

A detector turns evidence into one number an item, higher = more memorized. The evidence is images
with their ids, which key the noise, and, for detectors that need one, a condition an image: what
`Denoiser.denoise` takes as `cond`, an encoded prompt or a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import DEFAULT_BATCH, Scores
from equipoise.errors import BadInputError
from equipoise.representation import sites

Need = Literal["condition", "gradient", "attention", "generations", "words"]
"""What a detector needs beyond images and forwards."""
CROSS_ATTENTION = ".attn2.to_k:out"


@dataclass(frozen=True)
class Card:
    """What a detector is.

    Args:
        name: One word for tables.
        source: Who wrote it, with its arXiv number.
        formula: The score, higher = more memorized.
        needs: What it needs beyond images and forwards: a condition an image, gradients of the
            network, cross-attention to a prompt, whole generations, the words of the prompt.
        evaluations: Passes through the network an item, forward or backward.
        direction: Why a high score should mean memorized.
    """

    name: str
    source: str
    formula: str
    evaluations: int
    direction: str
    needs: tuple[Need, ...] = ()


@runtime_checkable
class Detector(Protocol):
    """Evidence to score: one number an image, higher = more memorized."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        ...

    def score(
        self,
        denoiser: Denoiser,
        images: Float[Tensor, "case ..."],
        ids: Sequence[str],
        *,
        conditions: Shaped[Tensor, "case ..."] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Scores:
        """Score images with values in [0, 1].

        Args:
            denoiser: The model.
            images: Values in [0, 1], in the shape the model encodes.
            ids: One id an image; keys its noise.
            conditions: One an image; read by detectors whose card needs "condition".
            batch: Noisy images a forward; does not change the scores.
        """
        ...


def find_obstacle(card: Card, denoiser: Denoiser) -> str | None:
    """Say why a detector cannot be used on a model; None where it can."""
    if "condition" in card.needs and denoiser.null_condition(1) is None:
        return "needs a condition (a prompt or a class), and the model takes none"
    if "words" in card.needs and getattr(denoiser, "text_encoder", None) is None:
        return "needs the words of a prompt, and the model reads none"
    if "attention" in card.needs and not list_cross_attention(denoiser):
        return "needs cross-attention to a prompt, and the model has none"
    return None


def list_cross_attention(denoiser: Denoiser) -> tuple[str, ...]:
    """Name the modules that attend to a prompt, in the order of a forward."""
    return tuple(
        site.name.removesuffix(".to_k:out")
        for site in sites(denoiser)
        if site.name.endswith(CROSS_ATTENTION)
    )


def require_conditions(
    card: Card, denoiser: Denoiser, conditions: Shaped[Tensor, "case ..."] | None, count: int
) -> Shaped[Tensor, "case ..."] | None:
    """Return the conditions, None for a detector that needs none, or refuse.

    Raises:
        BadInputError: when the model takes none, none are given, or not one an image.
    """
    if "condition" not in card.needs:
        return None
    obstacle = find_obstacle(card, denoiser)
    if obstacle:
        raise BadInputError(f'The detector "{card.name}" {obstacle}. Use one that needs none.')
    if conditions is None or len(conditions) != count:
        given = "none" if conditions is None else str(len(conditions))
        raise BadInputError(
            f'The detector "{card.name}" needs one condition an image: {given} given for {count} '
            "image(s). Pass conditions=, what the model was asked to show."
        )
    empty = denoiser.null_condition(1)
    assert empty is not None
    if not isinstance(conditions, Tensor) or conditions.shape[1:] != empty.shape[1:]:
        raise BadInputError(
            f'The detector "{card.name}" was given conditions that the model does not take. Give '
            f"a tensor of the shape {(count, *empty.shape[1:])}: `model.encode_prompts(prompts)`, "
            "or the number of a class for each image."
        )
    return conditions
