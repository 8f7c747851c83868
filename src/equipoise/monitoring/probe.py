r"""The probe: fixed training and held-out images, looked at in the same way at every check.

Two signals an image, both higher = more memorized, from the same noisy forwards:

    spikiness   the detector's statistic of the inner representation
    residual    - log mean |D(x0 + sigma eps) - x0|^2

The noise of an image is the same at every check, so what changes is the model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, UInt8
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection import Spikiness, join_units
from equipoise.detection.draws import Noisy, score_draws
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_id, content_ids
from equipoise.representation import capture, select_sites

SIGMA_SHARE = 0.2  # of the standard deviation of the data
DRAWS = 2
MIN_IMAGES = 20


@dataclass(frozen=True)
class Probe:
    """The images of a monitor: those of the training set first, then those held out.

    Args:
        pictures: All of them.
        indices: Place of each training image in the training set it was chosen from.
    """

    pictures: UInt8[Tensor, "case channel height width"]
    indices: Int[np.ndarray, " training"]

    @property
    def is_training(self) -> Bool[np.ndarray, " case"]:
        """Which images the model is trained on."""
        return np.arange(len(self.pictures)) < len(self.indices)

    def describe(self) -> dict[str, Any]:
        """Return what a record holds: how many images of each kind, and a hash of them all."""
        training = len(self.indices)
        return {
            "training": training,
            "held_out": len(self.pictures) - training,
            "images": content_id(self.pictures),
        }


@dataclass(frozen=True)
class Evidence:
    """What one check saw of every image of the probe; higher = more memorized."""

    spikiness: Float64[np.ndarray, " case"]
    residual: Float64[np.ndarray, " case"]


def build_probe(
    training: UInt8[Tensor, "case channel height width"],
    held_out: UInt8[Tensor, "other channel height width"],
    *,
    size: int,
    seed: int,
) -> Probe:
    """Choose `size` training images by chance and put the held-out images beside them.

    Equal pictures count once, and pictures that are in both sets are left out.

    Raises:
        BadInputError: when fewer than 20 images are left on either side.
    """
    seen, unseen = content_ids(training), content_ids(held_out)
    shared = {*seen} & {*unseen}
    rows = [row for row in _list_first(seen) if seen[row] not in shared]
    others = [row for row in _list_first(unseen) if unseen[row] not in shared]
    order = np.random.default_rng(seed).permutation(len(rows))[:size]
    chosen = np.array(sorted(rows[place] for place in order), dtype=np.int64)
    if min(len(chosen), len(others)) < MIN_IMAGES:
        raise BadInputError(
            f"Cannot monitor {len(chosen)} training images against {len(others)} held-out ones: "
            f"at least {MIN_IMAGES} distinct ones are needed on each side, and none in both."
        )
    pictures = torch.cat([training[torch.from_numpy(chosen)], held_out[others]])
    return Probe(pictures, chosen)


def build_detector(denoiser: Denoiser) -> Spikiness:
    """Build what a monitor looks with when nobody chose: the paper's statistic, default sites."""
    return Spikiness(
        sites=select_sites(denoiser, denoiser.default_sites),
        sigma=denoiser.snap(SIGMA_SHARE * denoiser.data_std),
        draws=DRAWS,
    )


def look(probe: Probe, denoiser: Denoiser, detector: Spikiness) -> Evidence:
    """Look at every image of the probe; a whole forward a draw."""

    def measure_noisy(noisy: Noisy) -> Tensor:
        empty = denoiser.null_condition(len(noisy.x))
        with capture(denoiser, detector.sites, pooling=detector.pooling, stop=False) as tape:
            estimate = denoiser.denoise(noisy.x, noisy.sigma, empty)
            units = join_units([tape[site] for site in detector.sites])
            error = (estimate - noisy.x0).double().flatten(1).square().mean(dim=1)
            return torch.stack([detector.measure_units(units).cpu(), -error.log().cpu()], dim=1)
        raise AssertionError("a capture that does not stop swallows nothing")

    values = score_draws(
        denoiser, as_unit(probe.pictures), content_ids(probe.pictures), measure_noisy,
        sigma=detector.sigma, draws=detector.draws, seed=detector.seed,
        precision=detector.precision,
    ).mean(dim=1)  # fmt: skip
    return Evidence(values[:, 0].numpy(), values[:, 1].numpy())


def _list_first(ids: list[str]) -> list[int]:
    """List the rows at which each id appears first."""
    return list({name: row for row, name in reversed(list(enumerate(ids)))}.values())[::-1]
