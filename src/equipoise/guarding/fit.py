"""Fit a guard: collect evidence from generations, then set the threshold on it.

The sites, the pooling, the statistic and its sign are those of a detector of finished pictures;
what is measured anew is the scale of the units at the sampler's noise levels, and the threshold.
The outputs that measured the scale do not set the threshold.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection import (
    Calibration,
    Look,
    Mode,
    Null,
    Spikiness,
    calibrate_scores,
)
from equipoise.errors import BadInputError, CalibrationError
from equipoise.guarding.guard import score_final
from equipoise.guarding.source import Source
from equipoise.guarding.watch import Watch, combine_looks, score_look

REFERENCE_SHARE = 0.5
"""Share of the outputs that measures the scale; the rest sets the threshold.

Half, because units that answer rarely need hundreds of outputs for their spread: with too few, a
unit's first answer looks like an outlier and novel outputs get the scores of copies.
"""
EARLY_LEVEL = 3.0
"""Highest noise level at which *early* looks, of the standard deviation of the data."""


@dataclass(frozen=True)
class Evidence:
    """What the sites showed during generations.

    Args:
        units: By noise level, the units of every output, one tensor a visit.
        x0: The final samples.
        images: The outputs as they were given.
        conditioned: Whether the forwards that were read had the condition.
    """

    units: Mapping[float, Sequence[Float64[Tensor, "case unit"]]]
    x0: Float[Tensor, "case ..."]
    images: list[Any]
    conditioned: bool

    def choose(self, rows: Bool[Tensor, " case"]) -> "Evidence":
        """Return the evidence of some outputs."""
        units = {sigma: [visit[rows] for visit in visits] for sigma, visits in self.units.items()}
        images = [image for image, taken in zip(self.images, rows.tolist(), strict=True) if taken]
        return Evidence(units, self.x0[rows.to(self.x0.device)], images, self.conditioned)


def collect_evidence(
    source: Source, calls: Iterable[Mapping[str, Any]], detector: Spikiness, *, mode: Mode
) -> Evidence:
    """Generate, and keep what the detector's sites showed at every noise level.

    Args:
        source: What makes outputs.
        calls: Arguments of its calls, by name.
        detector: Says where to look and how to pool.
        mode: In mode "check" nothing is read on the way.

    Raises:
        CalibrationError: when some calls are guided and others are not; in mode "check" for a
            detector that is told what outputs were asked for.
    """
    if mode == "check" and detector.condition == "own":
        raise CalibrationError(
            'Mode "check" looks with the empty condition, and this detector is told what each '
            'output was asked for. Give one that is told nothing, or the mode "free".'
        )
    seen: dict[float, list[list[Tensor]]] = {}
    samples: list[Tensor] = []
    images: list[Any] = []
    kinds: set[bool] = set()
    for call in calls:
        for request in source.ask(**call):
            watch = Watch(
                detector.sites,
                pooling=detector.pooling,
                sigmas=() if mode == "check" else None,
                told=detector.condition == "own",
            )
            generation = request.run(watch)
            assert generation.x0 is not None
            samples.append(generation.x0)
            images += generation.images
            kinds.add(request.is_conditioned(told=watch.told))
            for sigma, visits in watch.seen.items():
                seen.setdefault(sigma, []).append(visits)
    if len(kinds) != 1:
        raise CalibrationError(
            f"Cannot fit a guard on {len(kinds)} kinds of calls: give at least one call, and all "
            "of them with guidance or all without."
        )
    units = {sigma: _join_visits(parts) for sigma, parts in seen.items()}
    return Evidence(units, torch.cat(samples), images, kinds.pop())


def fit_guard(
    denoiser: Denoiser,
    evidence: Evidence,
    detector: Spikiness,
    *,
    mode: Mode,
    fpr: float,
    null: Null,
    sigmas: Sequence[float] | None = None,
) -> Calibration:
    """Set the threshold of a guard from outputs that are not memorized.

    Args:
        denoiser: The model.
        evidence: Of those outputs; the first half measures the scale.
        detector: Sites, pooling, statistic and sign.
        mode: "free", "check" or "early".
        fpr: Promised false-positive rate.
        null: What the outputs are.
        sigmas: Noise levels that are read, each the nearest of the sampler's; default all up to
            the first above the detector's, in mode "early" all up to three standard deviations of
            the data.

    Raises:
        CalibrationError: when the rate is finer than the outputs can promise.
    """
    count = len(evidence.x0)
    reference = torch.arange(count) < int(REFERENCE_SHARE * count)
    known, rest = evidence.choose(reference), evidence.choose(~reference)
    if mode == "check":
        looks: list[Look] = []
        last = detector.model_copy(update={"draws": 1})
        scores = score_final(last, denoiser, rest.x0)
    else:
        wanted = choose_levels(denoiser, evidence, detector, mode=mode, sigmas=sigmas)
        looks = [_fit_look(known, detector, sigma) for sigma in wanted]
        last = looks[-1].detector
        scores = combine_looks(looks, rest.units, mode=mode)
    return calibrate_scores(
        last, denoiser, scores, None, fpr=fpr, null=null,
        mode=mode, looks=tuple(looks), conditioned=evidence.conditioned and mode != "check",
    )  # fmt: skip


def choose_levels(
    denoiser: Denoiser,
    evidence: Evidence,
    detector: Spikiness,
    *,
    mode: Mode,
    sigmas: Sequence[float] | None,
) -> list[float]:
    """List the noise levels of the sampler that are read, falling."""
    passed = sorted(evidence.units, reverse=True)
    if sigmas is None and mode == "early":
        within = [sigma for sigma in passed if sigma <= EARLY_LEVEL * denoiser.data_std]
        if within:
            return within
    if sigmas is None:
        # The one above is not at the same place in another sampler, which is noticed by it.
        above = [sigma for sigma in passed if sigma > detector.sigma]
        return [*above[-1:], *passed[len(above) :]]
    nearest = {min(passed, key=lambda s, w=w: abs(math.log(s / w))) for w in sigmas}
    return sorted(nearest, reverse=True)


def _fit_look(evidence: Evidence, detector: Spikiness, sigma: float) -> Look:
    visits = evidence.units[sigma]
    try:
        scale = detector.scale.refit(torch.cat(list(visits))) if detector.scale else None
    except BadInputError as error:
        raise CalibrationError(
            f"{len(evidence.x0)} outputs, half of those given, cannot measure the scale of the "
            f"detector at noise level {sigma:.6g}: {error} Generate more outputs."
        ) from error
    update = {"sigma": sigma, "draws": len(visits), "scale": scale}
    plain = Look(detector=detector.model_copy(update=update), mean=0, std=1)
    scores = score_look(plain, visits)
    if not bool(torch.isfinite(scores).all()) or not float(scores.std()) > 0:
        raise CalibrationError(
            f"The score at noise level {sigma:.6g} does not vary over {len(scores)} outputs, or "
            "is not finite. Give other noise levels, or another statistic."
        )
    return plain.model_copy(update={"mean": float(scores.mean()), "std": float(scores.std())})


def _join_visits(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.cat(list(visits)) for visits in zip(*parts, strict=True)]
