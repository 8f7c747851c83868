r"""ICR: how much of the representation is noise of the view rather than of the image.

Two random views of each image have representations h1, h2 at one noise level. With t = (h1+h2)/2
and d = h1 - h2,

    Sigma_xi = Cov(d) / 2,   Sigma_s = Cov(t) - Cov(d) / 4,   Sigma_s v = lambda Sigma_xi v,

    ICR = 1 / (1 + mean lambda),   mean lambda = tr(Sigma_xi^-1 Sigma_s) / units.

The paper stops a training at its minimum: copies rise after it. Views are a crop by a shift, a
flip and a jitter of brightness and contrast.

References:
    Li, Jia, ... Qu (2026) | arXiv 2606.09718
"""

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor
from torch.nn import functional

from equipoise.denoisers import Denoiser
from equipoise.detection import Spikiness
from equipoise.detection.draws import Noisy, score_draws
from equipoise.images import as_unit, content_ids
from equipoise.representation import observe
from equipoise.sampling.noise import open_stream

SHIFT_SHARE = 16
"""Largest shift, as one part in so many of the height."""
JITTER = 0.2
"""Largest change of brightness and contrast."""


def measure_icr(
    first: Float64[np.ndarray, "case unit"], second: Float64[np.ndarray, "case unit"]
) -> float | None:
    """Return the ICR of paired representations; None when there are too few images for it."""
    cases, units = first.shape
    noise = np.cov(first - second, rowvar=False).reshape(units, units)
    if cases <= 2 * units or np.linalg.matrix_rank(noise) < units:
        return None
    signal = np.cov((first + second) / 2, rowvar=False).reshape(units, units) - noise / 4
    ratio = float(np.trace(np.linalg.solve(noise / 2, signal))) / units
    return 1 / (1 + ratio)


def observe_icr(
    denoiser: Denoiser,
    pictures: UInt8[Tensor, "case channel height width"],
    detector: Spikiness,
) -> float | None:
    """Measure the ICR of the mean-pooled units at the detector's first site."""
    site = detector.sites[0]

    def measure_noisy(noisy: Noisy) -> Tensor:
        return observe(denoiser, noisy.x, noisy.sigma, (site,), pooling="mean")[site].tensor

    ids = content_ids(pictures)
    first, second = (
        score_draws(
            denoiser, make_views(as_unit(pictures), ids, view=view),
            [f"{name}/{view}" for name in ids], measure_noisy,
            sigma=detector.sigma, draws=1, seed=detector.seed,
        )[:, 0].numpy()
        for view in (0, 1)
    )  # fmt: skip
    return measure_icr(first, second)


def make_views(
    images: Float[Tensor, "case channel height width"], ids: list[str], *, view: int
) -> Float[Tensor, "case channel height width"]:
    """Make a view of every image, the same one whenever its id and number are the same."""
    return torch.stack(
        [_make_view(i, f"{n}|view {view}") for i, n in zip(images, ids, strict=True)]
    )


def _make_view(image: Tensor, name: str) -> Tensor:
    stream, (height, width) = open_stream(name), image.shape[1:]
    reach = max(1, height // SHIFT_SHARE)
    down, right = stream.integers(0, 2 * reach + 1, 2).tolist()
    padded = functional.pad(image[None], (reach,) * 4, mode="replicate")[0]
    cropped = padded[:, down : down + height, right : right + width]
    flipped = cropped.flip(2) if stream.integers(2) else cropped
    brightness, contrast = (1 + JITTER * (2 * stream.random(2) - 1)).tolist()
    mean = flipped.mean()
    return (((flipped - mean) * contrast + mean) * brightness).clamp(0, 1)
