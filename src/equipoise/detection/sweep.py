"""Sweep: sites x sigma x pooling x statistic x scale, chosen on labelled items, sign included.

One forward a draw and sigma captures every site at once; all combinations are taken from it.
Whoever reports a figure for the chosen one reports it on *other* planted images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from sklearn.metrics import roc_auc_score
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, score_draws
from equipoise.detection.scale import UnitScale
from equipoise.detection.spikiness import DEFAULT_DRAWS, Spikiness, join_units
from equipoise.errors import CalibrationError
from equipoise.representation import STATISTICS, Pooling, observe, pool, select_sites

SWEPT_POOLINGS: tuple[Pooling, ...] = ("max", "mean")


@dataclass(frozen=True)
class SweepCell:
    """One combination with its scores, before a sign was chosen."""

    detector: Spikiness
    scores: Float64[Tensor, " case"]

    def auroc(self, planted: Int[Tensor, " case"]) -> float:
        """Area under the ROC curve of the raw statistic; below .5 the sign is to be flipped.

        Every planted image counts once, however often it was copied: the copies of one image
        resemble each other, and the detector has to find images it was not chosen on.
        A statistic that is undefined somewhere (all units zero) tells nothing: 0.5.
        """
        if not bool(torch.isfinite(self.scores).all()):
            return 0.5
        return weighted_auroc(self.scores, planted)


@dataclass(frozen=True)
class ChosenCell:
    """The detector a sweep chose, its AUROC on the items it was chosen on, and its place."""

    detector: Spikiness
    auroc: float
    index: int


def sweep_cells(
    denoiser: Denoiser,
    images: Float[Tensor, "case ..."],
    ids: Sequence[str],
    *,
    site_sets: Sequence[tuple[str, ...]],
    sigmas: Sequence[float],
    reference: Bool[Tensor, " case"],
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    batch: int = DEFAULT_BATCH,
) -> Iterator[SweepCell]:
    """Score every combination, one sigma after the other.

    Args:
        denoiser: The model.
        images: Values in [0, 1].
        ids: One id an image.
        site_sets: Sets of site names or patterns; the units of a set are put together.
        sigmas: Noise levels, data units.
        reference: Novel items on which the scale of the units is measured; they are scored too,
            but whoever chooses leaves them out.
        draws: Noise draws an image.
        seed: Seed of the noise.
        batch: Noisy images a forward.
    """
    chosen_sets = [select_sites(denoiser, names) for names in site_sets]
    every = select_sites(denoiser, [name for names in chosen_sets for name in names])
    sizes: dict[tuple[str, Pooling], int] = {}

    def measure_noisy(noisy: Noisy) -> Tensor:
        seen = observe(denoiser, noisy.x, noisy.sigma, every, pooling="none")
        pooled: dict[tuple[str, Pooling], Tensor] = {
            (s, p): pool(seen[s].tensor, p) for p in SWEPT_POOLINGS for s in every
        }
        for key, units in pooled.items():
            sizes[key] = units.flatten(1).shape[1]
        return join_units(list(pooled.values()))

    for sigma in sigmas:
        joined = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=sigma, draws=draws, seed=seed, batch=batch,
        )  # fmt: skip
        parts = joined.split(list(sizes.values()), dim=2)
        units = dict(zip(sizes, parts, strict=True))
        for names in chosen_sets:
            for pooling in SWEPT_POOLINGS:
                together = torch.cat([units[name, pooling] for name in names], dim=2)
                base = Spikiness(sites=names, sigma=sigma, pooling=pooling, draws=draws, seed=seed)
                yield from _measure_cells(base, together, reference)


def weighted_auroc(scores: Float64[Tensor, " case"], planted: Int[Tensor, " case"]) -> float:
    """AUROC of copies against the rest, in which every planted image counts once.

    Args:
        scores: One score an item.
        planted: Index of the planted image an item copies; -1 where it is no copy.
    """
    is_copy = planted >= 0
    _, place, counts = planted.unique(return_inverse=True, return_counts=True)
    weight = torch.where(is_copy, 1 / counts[place], torch.ones(len(planted)))
    return float(roc_auc_score(is_copy.numpy(), scores.numpy(), sample_weight=weight.numpy()))


def choose_cell(cells: Sequence[SweepCell], planted: Int[Tensor, " case"]) -> ChosenCell:
    """Choose the combination and the sign with the largest AUROC on labelled items.

    Args:
        cells: The combinations.
        planted: Index of the planted image an item copies; -1 where it is no copy.

    Raises:
        CalibrationError: when the labels hold no copy or nothing but copies.
    """
    is_copy = planted >= 0
    if bool(is_copy.all()) or not bool(is_copy.any()):
        raise CalibrationError(
            f"Cannot choose on {int(is_copy.sum())} copies among {len(is_copy)} items: both "
            "copies and novel items are needed."
        )
    areas = [cell.auroc(planted) for cell in cells]
    best = max(range(len(cells)), key=lambda i: abs(areas[i] - 0.5))
    sign = 1 if areas[best] >= 0.5 else -1
    detector = cells[best].detector.model_copy(update={"sign": sign})
    return ChosenCell(detector, max(areas[best], 1 - areas[best]), best)


def _measure_cells(
    base: Spikiness, units: Float64[Tensor, "case draw unit"], reference: Bool[Tensor, " case"]
) -> Iterator[SweepCell]:
    """Take every statistic from the units of one combination, with and without a scale."""
    cases, draws, _ = units.shape
    flat = units.flatten(0, 1)
    for scale in (None, UnitScale.fit(units[reference].flatten(0, 1))):
        for statistic in STATISTICS:
            detector = base.model_copy(update={"scale": scale, "statistic": statistic})
            scores = detector.measure_units(flat).reshape(cases, draws).mean(dim=1)
            yield SweepCell(detector, scores)
