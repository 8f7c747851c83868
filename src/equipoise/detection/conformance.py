"""What every detector must keep, as checks that an outside detector can run in its own tests.

    from equipoise.detection.conformance import check_detector

    def test_mine():
        check_detector(MyDetector())

Each check raises `AssertionError` with one sentence on what was broken. They run on the pole of
`pole.py`, a model in closed form whose memory is known, or on one given; a detector that cannot be
used there (no cross-attention, for example) needs a pole of its own.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from equipoise.denoisers.protocol import fingerprint
from equipoise.detection.card import Detector, find_obstacle
from equipoise.detection.pole import Pole, build_pole
from equipoise.detection.sweep import weighted_auroc
from equipoise.errors import NonFiniteError

FLOOR = 0.75
"""Least AUROC on the pole, where the truth is as plain as it can be."""
TOLERANCE = 1e-5
"""Relative to the largest score: products of batches of other sizes differ in the last bits."""


def check_detector(detector: Detector, *, pole: Pole | None = None) -> None:
    """Run every check.

    Args:
        detector: With settings that suit the pole: its images lie in [0, 1], with a standard
            deviation of about 0.3 over everything.
        pole: Another model with images whose truth is known; default a closed form.

    Raises:
        AssertionError: naming what the detector does not keep.
    """
    chosen = pole or build_pole()
    for check in CHECKS:
        check(detector, chosen)


def check_card(detector: Detector, pole: Pole) -> None:
    """The card is complete, and the detector can be used on the pole."""
    card = detector.card
    empty = [f for f in ("name", "source", "formula", "direction") if not getattr(card, f)]
    assert not empty, f"the card lacks {', '.join(empty)}"
    assert card.name.isidentifier(), f'the name "{card.name}" is not one word'
    assert card.evaluations >= 0, "the card counts fewer than no evaluations"
    obstacle = find_obstacle(card, pole.denoiser)
    assert obstacle is None, f'the detector "{card.name}" cannot be checked here: it {obstacle}'


def check_shape(detector: Detector, pole: Pole) -> None:
    """One finite float64 score an item, and a true count of evaluations."""
    scores = _score(detector, pole, torch.arange(len(pole.ids)))
    assert scores.shape == (len(pole.ids),), f"{tuple(scores.shape)} for {len(pole.ids)} items"
    assert bool(torch.isfinite(scores).all()), "scores of finite images are not finite"
    found = detector.score(
        pole.denoiser, pole.images[:2], pole.ids[:2], conditions=pole.conditions[:2]
    )
    expected = 2 * detector.card.evaluations
    assert found.evaluations == expected, f"{found.evaluations} evaluations; the card: {expected}"


def check_direction(detector: Detector, pole: Pole) -> None:
    """What the model memorized scores higher."""
    scores = _score(detector, pole, torch.arange(len(pole.ids)))
    planted = torch.where(pole.memorized, torch.arange(len(pole.ids)), -1)
    area = weighted_auroc(scores, planted)
    assert area >= FLOOR, f"AUROC {area:.3f} on the pole: memorized images must score higher"


def check_determinism(detector: Detector, pole: Pole) -> None:
    """The same call gives the same scores, whatever the global random state."""
    rows = torch.arange(6)
    first = _score(detector, pole, rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        again = _score(detector, pole, rows)
    assert torch.equal(first, again), "two calls on the same images differ"


def check_order(detector: Detector, pole: Pole) -> None:
    """The scores follow their items."""
    rows = torch.arange(len(pole.ids)).flip(0)
    _compare(_score(detector, pole, rows), _score(detector, pole, rows.flip(0)).flip(0), "order")


def check_company(detector: Detector, pole: Pole) -> None:
    """A score does not depend on what else is scored, nor on the size of a batch."""
    rows = torch.arange(0, len(pole.ids), 3)
    whole = _score(detector, pole, torch.arange(len(pole.ids)))[rows]
    _compare(_score(detector, pole, rows), whole, "the other items")
    _compare(_score(detector, pole, rows, batch=1), whole, "the size of a batch")


def check_frozen(detector: Detector, pole: Pole) -> None:
    """Neither the network nor the detector is changed; no hook and no gradient stays."""
    network, before = pole.denoiser.network, fingerprint(pole.denoiser)
    hooks, mode, told = _count_hooks(network), network.training, _dump(detector)
    _score(detector, pole, torch.arange(3))
    assert fingerprint(pole.denoiser) == before, "the weights changed"
    assert _count_hooks(network) == hooks, "a hook stayed on the network"
    assert network.training == mode, "the network's mode changed"
    assert all(p.grad is None for p in network.parameters()), "a gradient stayed on the weights"
    assert _dump(detector) == told, "the detector changed"


def check_round_trip(detector: Detector, pole: Pole) -> None:
    """The specification survives JSON: what comes back is equal and scores the same."""
    text = json.dumps(_dump(detector))
    again = _load(detector, json.loads(text))
    assert _dump(again) == _dump(detector), "the specification does not survive JSON"
    rows = torch.arange(4)
    assert torch.equal(_score(again, pole, rows), _score(detector, pole, rows))


def check_not_finite(detector: Detector, pole: Pole) -> None:
    """An image with NaN is refused by name; a score is never NaN."""
    broken = dataclasses.replace(pole, images=pole.images.clone())
    broken.images[1].flatten()[0] = torch.nan
    refusal = ""
    try:
        _score(detector, broken, torch.arange(3))
    except NonFiniteError as error:
        refusal = str(error)
    assert refusal, "an image with NaN was scored; raise NonFiniteError with its id"
    assert pole.ids[1] in refusal, "the refusal does not name the image with NaN"


CHECKS: tuple[Callable[[Detector, Pole], None], ...] = (
    check_card, check_shape, check_direction, check_determinism, check_order, check_company,
    check_frozen, check_round_trip, check_not_finite,
)  # fmt: skip


def _score(detector: Detector, pole: Pole, rows: Tensor, *, batch: int = 64) -> Tensor:
    return detector.score(
        pole.denoiser, pole.images[rows], [pole.ids[int(row)] for row in rows],
        conditions=pole.conditions[rows], batch=batch,
    ).values  # fmt: skip


def _compare(found: Tensor, expected: Tensor, what: str) -> None:
    off = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-300))
    assert off <= TOLERANCE, f"scores depend on {what}: they differ by {off:.1e} of the largest"


def _count_hooks(network: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in network.modules()
    )


def _dump(detector: Any) -> dict[str, Any]:  # noqa: ANN401 - a model of pydantic or a dataclass
    if isinstance(detector, BaseModel):
        return detector.model_dump(mode="json")
    assert dataclasses.is_dataclass(detector), "a detector is a frozen dataclass or pydantic model"
    assert not isinstance(detector, type)
    return dataclasses.asdict(detector)


def _load(detector: Any, told: dict[str, Any]) -> Any:  # noqa: ANN401
    kind = type(detector)
    return kind.model_validate(told) if isinstance(detector, BaseModel) else kind(**told)
