"""Do heat maps point at the part of a picture that was memorized? Three measures and two rivals.

Where half of a picture is a planted image and half an image no model saw, the planted half is
known. A centred blob knows nothing of the picture; the slope of the score at the pixels, taken
through the whole network, is what is commonly drawn.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from equipoise.denoisers import Denoiser
from equipoise.denoisers.edm import per_sample
from equipoise.detection import Spikiness, join_units
from equipoise.representation import pool
from equipoise.representation.site import first_tensor, named_modules
from equipoise.sampling import draw_noise_batch

Maps = Float[Tensor, "case height width"]
Regions = Bool[Tensor, "case height width"]


def point(maps: Maps, regions: Regions) -> Bool[Tensor, " case"]:
    """Say whether the warmest pixel lies in the region (the pointing game)."""
    warmest = maps.flatten(1).argmax(dim=1)
    return regions.flatten(1)[torch.arange(len(maps)), warmest]


def overlap(maps: Maps, regions: Regions) -> Float[Tensor, " case"]:
    """Measure the overlap (intersection over union) of a region and as many warmest pixels."""
    flat, inside = maps.flatten(1), regions.flatten(1)
    ranks = flat.argsort(dim=1, descending=True).argsort(dim=1)
    warm = ranks < inside.sum(dim=1, keepdim=True)
    return (warm & inside).sum(dim=1) / (warm | inside).sum(dim=1)


def share(maps: Maps, regions: Regions) -> Float[Tensor, " case"]:
    """Measure the share of the warmth, what raises the score, that lies in the region."""
    warm = maps.clamp(min=0)
    return (warm * regions).sum(dim=(1, 2)) / warm.sum(dim=(1, 2)).clamp(min=1e-12)


def draw_blob(count: int, size: tuple[int, int]) -> Maps:
    """Draw the same centred Gaussian for every picture, a quarter of the side wide."""
    axes = [((torch.arange(n) + 0.5) / n - 0.5) / 0.25 for n in size]
    rows, columns = (torch.exp(-(axis**2) / 2) for axis in axes)
    return (rows[:, None] * columns[None, :]).expand(count, *size)


def measure_slopes(
    denoiser: Denoiser, images: Float[Tensor, "case ..."], detector: Spikiness, ids: Sequence[str]
) -> Maps:
    """Measure the size of the score's slope at every pixel, mean over channels and draws.

    Of a latent model: the slope at the latents, each spread over the pixels it stands for.
    """
    x0 = denoiser.encode(images)
    total = torch.zeros(len(x0), *x0.shape[2:])
    for draw in range(detector.draws):
        eps = draw_noise_batch(
            tuple(x0.shape[1:]), seed=detector.seed, item_ids=list(ids), draws=[draw] * len(ids)
        )
        level = x0.new_full((len(x0),), detector.sigma)
        x = (x0 + per_sample(level, x0) * eps).requires_grad_()
        seen = _observe_with_slopes(denoiser, x, level, detector.sites)
        units = join_units([pool(seen[name], detector.pooling) for name in detector.sites])
        (slope,) = torch.autograd.grad(detector.measure_units(units).sum(), x)
        total += slope.abs().mean(dim=1) / detector.draws
    return F.interpolate(total[:, None], images.shape[-2:], mode="nearest-exact")[:, 0]


def _observe_with_slopes(
    denoiser: Denoiser, x: Tensor, sigma: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """Run a whole forward and keep what passes the sites, with its gradient."""
    modules, seen = named_modules(denoiser.network), {}

    def keep(name: str, value: object) -> None:
        tensor = first_tensor(value)
        assert tensor is not None, "a site carries a tensor"
        seen[name] = tensor

    handles = [_hook(modules[name.rsplit(":", 1)[0]], name, keep) for name in names]
    try:
        denoiser.denoise(x, sigma, denoiser.null_condition(len(x)))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _hook(module: nn.Module, name: str, keep: Callable[[str, object], None]) -> RemovableHandle:
    if name.endswith(":in"):
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: keep(name, (*args, *kwargs.values())), with_kwargs=True
        )
    return module.register_forward_hook(lambda _, __, output: keep(name, output))
