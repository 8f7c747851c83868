"""Scores over several noise draws: one loop for every detector that adds noise to an image.

Noise depends on (seed, item id, draw) only, so the scores depend neither on the batch size nor on
order or company.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Shaped
from scipy import stats
from torch import Tensor

from equipoise.denoisers.edm import per_sample
from equipoise.denoisers.protocol import Denoiser, device_of
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.sampling.noise import draw_noise_batch

Precision = Literal["float32", "bfloat16"]
DEFAULT_BATCH = 64


@dataclass(frozen=True)
class Scores:
    """Scores of items, higher = more memorized, one column a noise draw, with their cost."""

    per_draw: Float64[Tensor, "case draw"]
    evaluations: int
    seconds: float

    @property
    def values(self) -> Float64[Tensor, " case"]:
        """The score of every item: the mean over its draws."""
        return self.per_draw.mean(dim=1)

    def interval(self, level: float = 0.95) -> Float64[Tensor, "case 2"]:
        """Student-t interval of the mean over draws; with a single draw it has no width."""
        values, draws = self.values, self.per_draw.shape[1]
        if draws == 1:
            return torch.stack([values, values], dim=1)
        half = stats.t.ppf((1 + level) / 2, draws - 1) * self.per_draw.std(dim=1) / draws**0.5
        return torch.stack([values - half, values + half], dim=1)


@dataclass(frozen=True)
class Noisy:
    """Noisy samples with what they were made of: clean ones, noise, level, conditions."""

    x0: Float[Tensor, "batch ..."]
    eps: Float[Tensor, "batch ..."]
    sigma: Float[Tensor, " batch"]
    cond: Shaped[Tensor, "batch ..."] | None

    @property
    def x(self) -> Float[Tensor, "batch ..."]:
        """The noisy samples `x0 + sigma eps`."""
        return self.x0 + self.noise

    @property
    def noise(self) -> Float[Tensor, "batch ..."]:
        """Nothing but noise, `sigma eps`: where sampling starts when sigma is large."""
        return per_sample(self.sigma, self.eps) * self.eps


def score_draws(
    denoiser: Denoiser,
    images: Float[Tensor, "case ..."],
    ids: Sequence[str],
    measure_noisy: Callable[[Noisy], Tensor],
    *,
    sigma: float,
    draws: int,
    seed: int,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    precision: Precision = "float32",
    batch: int = DEFAULT_BATCH,
) -> Float64[Tensor, "case draw *cell"]:
    """Add noise to every image `draws` times and measure each noisy image.

    Args:
        denoiser: The model.
        images: Values in [0, 1], in the shape the model encodes.
        ids: One id an image; with the seed it decides the noise.
        measure_noisy: Called with noisy samples; gives a row of values for each.
        sigma: Noise level, data units.
        draws: Noise draws an image.
        seed: Seed of the noise.
        conditions: One an image, handed on to `measure_noisy`.
        precision: Arithmetic of the network's matrix products.
        batch: Noisy images a forward; does not change the result.

    Raises:
        BadInputError: when ids and images differ in number, or there is no image.
        NonFiniteError: when an image holds NaN or infinity; names the items.
    """
    _check_items(images, ids)
    device = device_of(denoiser)
    x0 = torch.cat([denoiser.encode(part.to(device)) for part in images.split(batch)])
    return score_sample_draws(
        x0, ids, measure_noisy,
        sigma=sigma, draws=draws, seed=seed, conditions=conditions, precision=precision,
        batch=batch,
    )  # fmt: skip


def score_sample_draws(
    x0: Float[Tensor, "case ..."],
    ids: Sequence[str],
    measure_noisy: Callable[[Noisy], Tensor],
    *,
    sigma: float,
    draws: int,
    seed: int,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    precision: Precision = "float32",
    batch: int = DEFAULT_BATCH,
) -> Float64[Tensor, "case draw *cell"]:
    """Do the same with clean samples `x0`, which lie where the model computes."""
    items = torch.arange(len(ids)).repeat_interleave(draws)
    rows = []
    for pairs in torch.arange(len(items)).split(batch):
        chosen = items[pairs]
        eps = draw_noise_batch(
            tuple(x0.shape[1:]),
            seed=seed,
            item_ids=[ids[int(i)] for i in chosen],
            draws=(pairs % draws).tolist(),
        )
        clean = x0[chosen]
        level = clean.new_full((len(chosen),), sigma)
        cond = None if conditions is None else conditions[chosen].to(x0.device)
        noisy = Noisy(clean, eps.to(clean), level, cond)
        with (
            torch.no_grad(),
            torch.autocast(x0.device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            rows.append(measure_noisy(noisy).double().cpu())
    values = torch.cat(rows)
    return values.reshape(len(ids), draws, *values.shape[1:])


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def _check_items(images: Tensor, ids: Sequence[str]) -> None:
    if len(images) != len(ids) or not len(ids):
        raise BadInputError(
            f"Cannot score {len(images)} image(s) with {len(ids)} id(s): give at least one image "
            "and one id an image."
        )
    finite = torch.isfinite(images.flatten(1)).all(dim=1)
    if not bool(finite.all()):
        bad = [ids[int(i)] for i in (~finite).nonzero().flatten()]
        raise NonFiniteError(
            f"{len(bad)} image(s) hold NaN or infinity: {', '.join(bad[:3])}. "
            "Leave them out; values must lie in [0, 1]."
        )
