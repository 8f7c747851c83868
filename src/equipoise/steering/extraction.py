r"""Extraction: a concept is the difference of two mean representations.

    v_s = unit_s * (m_s(S+) - m_s(S-)),     m_s(S) = mean over x0 in S of h_s(x0 + sigma eps)

with the empty condition or with each picture's own prompt, and `m_s(S-) = 0` where no references
without the concept are given, which is the paper's vector. `unit_s` brings it to strength 1, see
`vector.py`. "per-position" keeps the mean of every place (pixel or token), "pooled" takes it over
places.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space (Zhang et al.,
    2026), Eq. 11 | arXiv 2512.20963
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.denoisers import Denoiser, TimedDenoiser, encode_prompts, fingerprint
from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.protocol import device_of
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.images import content_ids, quantize
from equipoise.representation import capture, select_sites, sites
from equipoise.sampling import draw_noise_batch
from equipoise.steering.vector import ConceptVector, Kind, VectorRecord

BATCH = 64
DRAWS = 4
BLOCK = re.compile(r"(transformer_blocks|blocks)\.(\d+):out")
"""The residual stream behind a block of a transformer."""
GOING_UP = "up_blocks.*.resnets.*:out"
Prompts = Sequence[str] | None
SIGMA_SHARE = 1.0
"""Default noise level of the references, of the standard deviation of the data."""


def find_sites(denoiser: Denoiser) -> tuple[str, ...]:
    """Choose where to steer when nobody says, by what was measured on the zoo's families.

    Behind all blocks of a transformer; behind the residual blocks going up of a text-to-image
    U-Net, as the paper does; at the default sites of any other.
    """
    blocks = tuple(site.name for site in sites(denoiser) if BLOCK.fullmatch(site.name))
    if blocks:
        return blocks
    if isinstance(denoiser, TimedDenoiser) and denoiser.text_encoder is not None:
        return select_sites(denoiser, GOING_UP)
    return select_sites(denoiser, denoiser.default_sites)


def build_vector(
    denoiser: Denoiser,
    positive: Float[Tensor, "case ..."],
    negative: Float[Tensor, "other ..."] | None = None,
    *,
    name: str,
    patterns: str | Sequence[str] | None = None,
    sigmas: Sequence[float] | None = None,
    prompts: tuple[Prompts, Prompts] = (None, None),
    kind: Kind = "per-position",
    draws: int = DRAWS,
    seed: int = 0,
) -> ConceptVector:
    """Build a concept vector from pictures with the concept, and pictures without.

    Args:
        denoiser: The model.
        positive: Values in [0, 1], in the shape the model encodes.
        negative: Likewise; None gives the paper's vector, the mean itself.
        name: What the model is called, for the record.
        patterns: Sites or patterns of sites; None those of `find_sites`.
        sigmas: Noise levels, data units, snapped to those the model knows; None one level, the
            standard deviation of the data.
        prompts: What each picture with and without the concept is looked at with, one a picture;
            None is the empty condition.
        kind: Whether every place has its own numbers.
        draws: Noise draws a picture.
        seed: Seed of the noise.

    Raises:
        BadInputError: when there are no pictures, prompts are not one a picture or mean nothing to
            the model, or both means are equal.
        NonFiniteError: when a picture holds NaN or infinity.
        UnknownSiteError: when the model has no such site.
    """
    names = find_sites(denoiser) if patterns is None else select_sites(denoiser, patterns)
    levels = _choose_levels(denoiser, sigmas)
    sides = [_gather(denoiser, positive, prompts[0])]
    if negative is not None:
        sides.append(_gather(denoiser, negative, prompts[1]))
    measured = [
        [_measure(denoiser, one, names, sigma, kind=kind, draws=draws, seed=seed) for one in sides]
        for sigma in levels
    ]
    found = {site: _find_direction(measured, site, sites=len(names)) for site in names}
    recipe = {
        "positive": len(positive),
        "negative": 0 if negative is None else len(negative),
        "prompts": [None if one is None else list(one) for one in prompts],
        "draws": draws,
        "seed": seed,
        "gap": {site: one.gap for site, one in found.items()},
    }
    record = VectorRecord(
        model=name, fingerprint=fingerprint(denoiser), kind=kind, sigmas=levels,
        rms={site: one.rms for site, one in found.items()}, recipe=recipe,
    )  # fmt: skip
    tensors = {site: one.vector for site, one in found.items()}
    return ConceptVector(record, tensors, {site: one.origin for site, one in found.items()})


@dataclass(frozen=True)
class _Side:
    """The pictures with the concept, or those without, and what each is looked at with."""

    images: Float[Tensor, "case ..."]
    conditions: Tensor | None


@dataclass(frozen=True)
class _Moments:
    """Mean representation by site, and mean square over items, places and units."""

    mean: Mapping[str, Tensor]
    square: Mapping[str, float]
    count: int


@dataclass(frozen=True)
class _Direction:
    """What a vector holds of one site, a row or number a noise level."""

    vector: Float[Tensor, "level ..."]
    origin: Float[Tensor, "level ..."]
    rms: tuple[float, ...]
    gap: list[float]
    """Distance of the two means, in units of strength."""


def _choose_levels(denoiser: Denoiser, sigmas: Sequence[float] | None) -> tuple[float, ...]:
    """Return noise levels that the model knows, ascending."""
    wanted = [SIGMA_SHARE * denoiser.data_std] if sigmas is None else sigmas
    levels = tuple(sorted({denoiser.snap(sigma) for sigma in wanted}))
    if not levels or levels[0] <= 0:
        raise BadInputError(f"Noise levels must be positive, and {list(wanted)} was given.")
    return levels


def _find_direction(
    measured: Sequence[Sequence[_Moments]], site: str, *, sites: int
) -> _Direction:
    """Subtract the means, and bring the difference to strength 1 as one of so many sites."""
    raw = torch.stack([groups[0].mean[site] for groups in measured])
    origin = torch.zeros_like(raw)
    if len(measured[0]) > 1:
        origin = torch.stack([groups[1].mean[site] for groups in measured])
    size = (raw - origin).flatten(1).square().mean(dim=1).sqrt()
    if not bool((size > 0).all()):
        raise BadInputError(
            f'The references with and without the concept do not differ at "{site}", so there '
            "is no direction. Give other pictures, or another site."
        )
    rms = tuple(_join_square(groups, site) ** 0.5 for groups in measured)
    gap = size / size.new_tensor(rms) * sites**0.5
    vector = (raw - origin) / per_sample(gap, raw)
    return _Direction(vector.float(), origin.float(), rms, gap.tolist())


def _join_square(groups: Sequence[_Moments], site: str) -> float:
    """Return the mean square over the pictures of both sides."""
    total = sum(group.count for group in groups)
    return sum(group.square[site] * group.count for group in groups) / total


def _gather(denoiser: Denoiser, images: Float[Tensor, "case ..."], prompts: Prompts) -> _Side:
    _check_images(images)
    if prompts is None:
        return _Side(images, denoiser.null_condition(len(images)))
    if len(prompts) != len(images):
        raise BadInputError(
            f"{len(prompts)} prompts were given for {len(images)} pictures: give one a picture."
        )
    return _Side(images, encode_prompts(denoiser, prompts))


def _measure(
    denoiser: Denoiser,
    side: _Side,
    names: Sequence[str],
    sigma: float,
    *,
    kind: Kind,
    draws: int,
    seed: int,
) -> _Moments:
    """Average the representation of noisy pictures, in float64; one truncated forward a draw."""
    images, conditions = side.images, side.conditions
    ids, device = content_ids(quantize(images)), device_of(denoiser)
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    squares = dict.fromkeys(names, 0.0)
    for pairs in torch.arange(len(images) * draws).split(BATCH):
        rows = pairs // draws
        x0 = denoiser.encode(images[rows].to(device))
        eps = draw_noise_batch(
            tuple(x0.shape[1:]), seed=seed, item_ids=[ids[int(i)] for i in rows],
            draws=(pairs % draws).tolist(),
        )  # fmt: skip
        level = x0.new_full((len(x0),), sigma)
        noisy = x0 + per_sample(level, x0) * eps.to(x0)
        with torch.no_grad(), capture(denoiser, names, pooling="none") as tape:
            denoiser.denoise(noisy, level, None if conditions is None else conditions[rows])
        for site in names:
            h = tape[site].double().cpu()
            sums[site] = sums[site] + h.sum(dim=0)
            squares[site] += float(h.square().sum())
    count = len(images) * draws
    means = {site: sums[site] / count for site in names}
    return _Moments(
        {site: _pool(mean) if kind == "pooled" else mean for site, mean in means.items()},
        {site: squares[site] / (count * means[site].numel()) for site in names},
        count,
    )


def _pool(mean: Float[Tensor, "..."]) -> Float[Tensor, " unit"]:
    """Average over places: pixels of a feature map, or tokens."""
    if mean.ndim == 3:
        return mean.mean(dim=(1, 2))
    return mean.mean(dim=0) if mean.ndim == 2 else mean


def _check_images(images: Float[Tensor, "case ..."]) -> None:
    if not len(images):
        raise BadInputError("A concept needs at least one picture, and none was given.")
    if not bool(torch.isfinite(images).all()):
        raise NonFiniteError("A reference picture holds NaN or infinity. Leave it out.")
