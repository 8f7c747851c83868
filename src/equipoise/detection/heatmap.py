r"""Where in an image the score comes from: the part of it that each place of a site carries.

With `h` the activations of a site (unit c, place p), `m` the mean of each unit over novel items
(zero where the detector has no scale) and `s` the score,

    part(p) = sum_c  ds/dh_c(p) (h_c(p) - m_c)

is the first-order share of the place, averaged over the noise draws of the detector. It needs no
gradient of the network: `s` is a short formula of `h`. The maximum over space hands a unit's
share to the place where it is largest, the mean spreads it.

For the statistics `l2` and `std` with a scale, and without one, the parts add up to the score
(Euler: both are homogeneous of degree one). For scale-free statistics they add up to zero and
tell places that raise the score from places that lower it. Parts of several sites are brought to
the size of the image bilinearly, keeping their sums, and added.

A part is no proof that a place was memorized, only that the units which look at it carry the
score. How far the two agree is measured in docs/heatmaps.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import require_conditions
from equipoise.detection.draws import DEFAULT_BATCH, Noisy, score_draws
from equipoise.detection.spikiness import Spikiness, join_units
from equipoise.errors import BadInputError
from equipoise.representation import observe, pool, sites


@dataclass(frozen=True)
class Heat:
    """Where the scores of items come from, and the units that carry them."""

    maps: Float[Tensor, "case height width"]
    """Part of the score a pixel, higher = raises it more; negative where it lowers the score."""
    units: Float[Tensor, "case unit"]
    """What the statistic is taken of: pooled, scaled where the detector has a scale."""


def measure_heat(
    denoiser: Denoiser,
    images: Float[Tensor, "case ..."],
    detector: Spikiness,
    ids: Sequence[str],
    *,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    batch: int = DEFAULT_BATCH,
) -> Heat:
    """Take the scores of images apart by place; costs the evaluations of the scores once more.

    Args:
        denoiser: The model.
        images: Values in [0, 1].
        detector: Where and how to look, sign included.
        ids: One id an image, which keys its noise: those of the scores.
        conditions: One an image, where the detector is told them.
        batch: Noisy images a forward; does not change the result.

    Raises:
        BadInputError: when a site has no places: a vector, or tokens that form no square.
    """
    size = (denoiser.image_shape[-2], denoiser.image_shape[-1])

    def measure_noisy(noisy: Noisy) -> Tensor:
        seen = observe(
            denoiser, noisy.x, noisy.sigma, detector.sites, pooling="none", cond=noisy.cond
        )
        parts, units = split_score(detector, [seen[site].tensor for site in detector.sites])
        maps = torch.stack([spread_part(part, size) for part in parts]).sum(dim=0)
        return torch.cat([maps.flatten(1), units], dim=1)

    joined = score_draws(
        denoiser, images, ids, measure_noisy,
        sigma=detector.sigma, draws=detector.draws, seed=detector.seed,
        precision=detector.precision, batch=batch,
        conditions=require_conditions(detector.card, denoiser, conditions, len(ids)),
    ).mean(dim=1)  # fmt: skip
    pixels = size[0] * size[1]
    return Heat(joined[:, :pixels].unflatten(1, size), joined[:, pixels:])


def has_places(denoiser: Denoiser, detector: Spikiness) -> bool:
    """Say whether every site of a detector has places, so that its scores have heat maps."""
    shapes = {site.name: site.shape for site in sites(denoiser)}
    return all(_find_grid(shapes[name]) is not None for name in detector.sites)


def split_score(
    detector: Spikiness, activations: Sequence[Float[Tensor, "batch ..."]]
) -> tuple[list[Float[Tensor, "batch row column"]], Float[Tensor, "batch unit"]]:
    """Take the score of activations apart, one map a site.

    Args:
        detector: How the score is made of the activations.
        activations: Those of its sites, in their order.

    Returns:
        The part of every place, by site; and the units the score is made of.
    """
    with torch.enable_grad():
        leaves = [h.detach().double().requires_grad_() for h in activations]
        units = join_units([pool(leaf, detector.pooling) for leaf in leaves])
        total = detector.measure_units(units).sum()
        slopes = torch.autograd.grad(total, leaves)
    parts = [
        _arrange(slope * (leaf.detach() - mean))
        for slope, leaf, mean in zip(slopes, leaves, _split_means(detector, leaves), strict=True)
    ]
    told = units.detach()
    return parts, detector.scale.apply(told) if detector.scale else told


def spread_part(
    part: Float[Tensor, "batch row column"], size: tuple[int, int]
) -> Float[Tensor, "batch height width"]:
    """Bring a map to another size, bilinearly; where that is a multiple its sum is kept."""
    rows, columns = part.shape[1:]
    wide = F.interpolate(part[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return wide * (rows * columns / (size[0] * size[1]))


def _split_means(
    detector: Spikiness, leaves: Sequence[Tensor]
) -> list[Float[Tensor, "#batch ..."] | float]:
    """Bring the mean of every unit to the axes of its site's activations."""
    if detector.scale is None:
        return [0.0] * len(leaves)
    sizes = [pool(leaf[:1].detach(), detector.pooling).numel() for leaf in leaves]
    means = leaves[0].new_tensor(detector.scale.mean).split(sizes)
    return [_align(mean, leaf) for mean, leaf in zip(means, leaves, strict=True)]


def _align(mean: Tensor, leaf: Tensor) -> Tensor:
    if mean.numel() == leaf[0].numel():  # units that are places were not pooled
        return mean.reshape(leaf.shape[1:])
    return mean[:, None, None] if leaf.ndim == 4 else mean[None, :]


def _arrange(parts: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch row column"]:
    """Add up the units of every place, and lay tokens out as the square they come from."""
    grid = _find_grid(tuple(parts.shape[1:]))
    if grid is None:
        raise BadInputError(
            f"A site with activations of shape {tuple(parts.shape[1:])} has no places of the "
            "image: (channel, height, width) and a square number of tokens are known. Choose "
            "another site, see equipoise.sites(model)."
        )
    return parts.sum(dim=1) if parts.ndim == 4 else parts.sum(dim=2).unflatten(1, grid)


def _find_grid(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return rows and columns of the places of an activation, without its batch axis."""
    if len(shape) == 3:
        return shape[1], shape[2]
    side = math.isqrt(shape[0])
    return (side, side) if len(shape) == 2 and side**2 == shape[0] else None
