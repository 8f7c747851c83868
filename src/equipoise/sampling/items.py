"""Items sampled from their own noise streams: the same item, the same sample, in any batch."""

from collections.abc import Iterator, Sequence

from jaxtyping import Float, Shaped
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser, device_of
from equipoise.sampling.heun import sample_heun
from equipoise.sampling.noise import draw_noise_batch
from equipoise.sampling.state import SamplerState, Solver


def sample_states(
    denoiser: Denoiser,
    item_ids: Sequence[str],
    sigmas: Sequence[float],
    *,
    seed: int,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    solver: Solver = sample_heun,
) -> Iterator[SamplerState]:
    """Yield the states of one batch of items, each from the item's own noise stream.

    Args:
        denoiser: The model.
        item_ids: One an item; keys its noise.
        sigmas: Decreasing noise levels in data units, the last one 0.
        seed: Seed of the noise.
        conditions: One an item; None means the empty one.
        solver: How the ODE is followed.
    """
    device = device_of(denoiser)
    noise = draw_noise_batch(
        denoiser.sample_shape, seed=seed, item_ids=item_ids, draws=[0] * len(item_ids)
    )
    cond = None if conditions is None else conditions.to(device)
    return solver(denoiser, noise.to(device), sigmas, cond=cond)


def sample_items(
    denoiser: Denoiser,
    item_ids: Sequence[str],
    sigmas: Sequence[float],
    *,
    seed: int,
    batch: int,
    conditions: Shaped[Tensor, "case ..."] | None = None,
    solver: Solver = sample_heun,
) -> Iterator[Float[Tensor, "batch ..."]]:
    """Sample one `x0` an item, `batch` items a forward; the rest as in `sample_states`."""
    for start in range(0, len(item_ids), batch):
        rows = slice(start, start + batch)
        cond = None if conditions is None else conditions[rows]
        *_, last = sample_states(
            denoiser, item_ids[rows], sigmas, seed=seed, conditions=cond, solver=solver
        )
        yield last.x
