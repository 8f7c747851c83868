"""Sweep: site x sigma x pooling x statistic, chosen on labelled items, sign included.

One forward a draw and sigma captures every site at once; all poolings and statistics are taken
from it. Whoever reports a figure for the chosen cell reports it on *other* planted images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64
from sklearn.metrics import roc_auc_score
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.draws import DEFAULT_BATCH, score_draws
from equipoise.detection.spikiness import DEFAULT_DRAWS, Spikiness
from equipoise.errors import CalibrationError
from equipoise.representation import (
    STATISTICS,
    Pooling,
    Statistic,
    measure,
    observe,
    pool,
    select_sites,
)

SWEPT_POOLINGS: tuple[Pooling, ...] = ("max", "mean")


@dataclass(frozen=True)
class SweepCell:
    """One combination with its scores, before a sign was chosen."""

    site: str
    sigma: float
    pooling: Pooling
    statistic: Statistic
    scores: Float64[Tensor, " case"]

    def auroc(self, is_copy: Bool[Tensor, " case"]) -> float:
        """Area under the ROC curve of the raw statistic; below .5 the sign is to be flipped.

        A statistic that is undefined somewhere (all units zero) tells nothing: 0.5.
        """
        if not bool(torch.isfinite(self.scores).all()):
            return 0.5
        return float(roc_auc_score(is_copy.numpy(), self.scores.numpy()))


@dataclass(frozen=True)
class ChosenCell:
    """The detector a sweep chose, and its AUROC on the items it was chosen on."""

    detector: Spikiness
    auroc: float


def sweep_cells(
    denoiser: Denoiser,
    images: Float[Tensor, "case ..."],
    ids: Sequence[str],
    *,
    sites: Sequence[str],
    sigmas: Sequence[float],
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    batch: int = DEFAULT_BATCH,
) -> Iterator[SweepCell]:
    """Score every combination, one sigma after the other.

    Args:
        denoiser: The model.
        images: Values in [0, 1].
        ids: One id an image.
        sites: Site names or patterns.
        sigmas: Noise levels, data units.
        draws: Noise draws an image.
        seed: Seed of the noise.
        batch: Noisy images a forward.
    """
    chosen_sites = select_sites(denoiser, sites)
    keys: list[tuple[str, Pooling, Statistic]] = [
        (s, p, t) for s in chosen_sites for p in SWEPT_POOLINGS for t in STATISTICS
    ]

    def measure_noisy(x: Tensor, _: Tensor, sigma: Tensor) -> Tensor:
        seen = observe(denoiser, x, sigma, chosen_sites, pooling="none")
        columns = [measure(pool(seen[s].tensor, p), t) for s, p, t in keys]
        return torch.stack(columns, dim=1)

    for sigma in sigmas:
        values = score_draws(
            denoiser, images, ids, measure_noisy,
            sigma=sigma, draws=draws, seed=seed, batch=batch,
        )  # fmt: skip
        for column, (site, pooling, statistic) in enumerate(keys):
            yield SweepCell(site, sigma, pooling, statistic, values[..., column].mean(dim=1))


def choose_cell(
    cells: Sequence[SweepCell],
    is_copy: Bool[Tensor, " case"],
    *,
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
) -> ChosenCell:
    """Choose the combination and the sign with the largest AUROC on labelled items.

    Raises:
        CalibrationError: when the labels hold no copy or nothing but copies.
    """
    if bool(is_copy.all()) or not bool(is_copy.any()):
        raise CalibrationError(
            f"Cannot choose on {int(is_copy.sum())} copies among {len(is_copy)} items: both "
            "copies and novel items are needed."
        )
    areas = [cell.auroc(is_copy) for cell in cells]
    best = max(range(len(cells)), key=lambda i: abs(areas[i] - 0.5))
    sign: Literal[1, -1] = 1 if areas[best] >= 0.5 else -1
    cell = cells[best]
    detector = Spikiness(
        site=cell.site, sigma=cell.sigma, pooling=cell.pooling,
        statistic=cell.statistic, sign=sign, draws=draws, seed=seed,
    )  # fmt: skip
    return ChosenCell(detector, max(areas[best], 1 - areas[best]))
